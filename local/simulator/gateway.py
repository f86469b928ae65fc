"""The Face API: finds the version and the operation, checks who calls, and answers. No I/O."""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from local.simulator import errors, scenarios
from local.simulator.bucket import TokenBucket
from local.simulator.clock import Clock
from local.simulator.create_request import read
from local.simulator.errors import Refused
from local.simulator.messages import Answer, Request, json_answer
from local.simulator.paging import read_page
from local.simulator.scenarios import Fault
from local.simulator.switch import FaultSwitch
from local.simulator.upstream import Upstream
from local.simulator.wire import Listing, Wire
from local.simulator.wire_v1_1 import V1_1
from local.simulator.wire_v1_2 import V1_2
from local.simulator.wire_v1_3 import V1_3

WIRES = (V1_1, V1_2, V1_3)

Operation = Literal["create", "get", "delete", "list", "audit"]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)

_ROUTES: dict[tuple[str, str], Operation] = {
    ("POST", ""): "create",
    ("GET", ""): "list",
    ("GET", "/{id}"): "get",
    ("DELETE", "/{id}"): "delete",
    ("GET", "/{id}/audit"): "audit",
}


@dataclass(slots=True)
class Credentials:
    """The subscription keys and Entra tokens that are valid now."""

    keys: set[str]
    bearer_tokens: set[str] = field(default_factory=set)

    def admit(self, request: Request) -> bool:
        """Tell whether the request carries one of them."""
        return (
            request.headers.get("ocp-apim-subscription-key") in self.keys
            or request.bearer_token in self.bearer_tokens
        )


class Gateway:
    """Answers the calls that a broker makes. `calls` counts them, refused ones too."""

    def __init__(
        self,
        upstream: Upstream,
        credentials: Credentials,
        clock: Clock,
        switch: FaultSwitch,
        bucket: TokenBucket | None,
    ) -> None:
        self.calls: Counter[str] = Counter(dict.fromkeys(OPERATIONS, 0))
        self._upstream = upstream
        self._credentials = credentials
        self._clock = clock
        self._switch = switch
        self._bucket = bucket
        self._handlers: dict[Operation, Callable[[Wire, Request, str], Answer]] = {
            "create": self._create,
            "get": self._get,
            "delete": self._delete,
            "list": self._list,
            "audit": self._audit,
        }

    def answer(self, request: Request) -> Answer:
        """Answer one call."""
        try:
            wire, operation, session_id = _route(request)
            self.calls[operation] += 1
            self._admit(wire, request)
            return self._handlers[operation](wire, request, session_id)
        except Refused as refusal:
            return refusal.answer

    def _admit(self, wire: Wire, request: Request) -> None:
        switched = self._switch.take()
        if switched is not None:
            raise Refused(switched)
        if not self._credentials.admit(request):
            raise Refused(wire.unauthorized)
        charge(self._bucket)

    def _create(self, wire: Wire, request: Request, _session_id: str) -> Answer:
        if request.media_type != "application/json":
            raise Refused(errors.INVALID_MEDIA_TYPE)
        order = wire.read(read(request.body, wire.schema))
        fault = scenarios.of_device(order.device_id).fault_of("create")
        _refuse(fault)
        return _spoil(json_answer(200, wire.created(self._upstream.create(order))), fault)

    def _get(self, wire: Wire, _request: Request, session_id: str) -> Answer:
        session = self._upstream.find(session_id)
        self._upstream.count_read(session)
        fault = session.scenario.fault_of("get")
        if fault is not None and not fault.meets(session.reads):
            fault = None
        _refuse(fault)
        return _spoil(json_answer(200, wire.result(session, self._clock())), fault)

    def _delete(self, wire: Wire, _request: Request, session_id: str) -> Answer:
        session = self._upstream.find(session_id)
        fault = session.scenario.fault_of("delete")
        _refuse(fault)
        self._upstream.delete(session)
        return _spoil(wire.deleted, fault)

    def _list(self, wire: Wire, request: Request, _session_id: str) -> Answer:
        page, now = read_page(request.query), self._clock()
        sessions = sorted(self._upstream.stored, key=lambda session: session.session_id)
        after = [session for session in sessions if session.session_id > page.start]
        return json_answer(200, [_listing(wire).item(session, now) for session in after[: page.top]])

    def _audit(self, wire: Wire, request: Request, session_id: str) -> Answer:
        page = read_page(request.query)
        session = self._upstream.find(session_id)
        after = [attempt for attempt in session.attempts if attempt.entry_id > page.start_number]
        return json_answer(200, [_listing(wire).entry(session, attempt) for attempt in after[: page.top]])


def charge(bucket: TokenBucket | None, calls: int = 1) -> None:
    """Take `calls` out of the resource's rate limit, or raise Refused with the documented 429."""
    wait_s = bucket.take(calls) if bucket is not None else 0.0
    if wait_s > 0:
        raise Refused(errors.rate_limited(math.ceil(wait_s)))


def _route(request: Request) -> tuple[Wire, Operation, str]:
    """Find the version, the operation and the session id, or raise Refused."""
    for wire in WIRES:
        found = re.fullmatch(re.escape(wire.root) + r"(?:/([^/]+)(/audit)?)?", request.path)
        operation = _operation(request.method, found) if found else None
        if found and operation:
            if operation in ("list", "audit"):
                _listing(wire)
            return wire, operation, found[1] or ""
    raise Refused(errors.RESOURCE_NOT_FOUND)


def _operation(method: str, found: re.Match[str]) -> Operation | None:
    return _ROUTES.get((method, ("/{id}" if found[1] else "") + (found[2] or "")))


def _listing(wire: Wire) -> Listing:
    if wire.listing is None:
        raise Refused(errors.RESOURCE_NOT_FOUND)
    return wire.listing


def _refuse(fault: Fault | None) -> None:
    if fault is not None and fault.answer is not None:
        raise Refused(fault.answer)


def _spoil(answer: Answer, fault: Fault | None) -> Answer:
    return answer if fault is None else replace(answer, delay_s=fault.delay_s, lost=fault.lost)
