"""The phone's side: what the Vision SDK does with an auth token, in routes of our own.

The wire format between the SDK and Face is not public. These calls use the resource's rate limit as the true
ones do: one for the start, one for the attempt, one for its end.
"""

import json
from typing import Any

from local.simulator import errors, scenarios
from local.simulator.bucket import TokenBucket
from local.simulator.clock import Clock
from local.simulator.create_request import is_device_id
from local.simulator.errors import Refused
from local.simulator.gateway import charge
from local.simulator.identifiers import Identifiers
from local.simulator.messages import Answer, Request, error_answer, json_answer
from local.simulator.scenarios import Outcome, Scenario
from local.simulator.upstream import Attempt, PhoneCall, Session, Upstream


class Phone:
    """Answers `POST /simulator/start` and `POST /simulator/perform`."""

    def __init__(
        self, upstream: Upstream, identifiers: Identifiers, clock: Clock, bucket: TokenBucket | None
    ) -> None:
        self._upstream = upstream
        self._identifiers = identifiers
        self._clock = clock
        self._bucket = bucket

    def start(self, request: Request) -> Answer:
        """Start the session, without an attempt."""
        session = self._session(request, _fields(request))
        charge(self._bucket)
        return json_answer(200, {"status": self._upstream.begin(session).status})

    def perform(self, request: Request) -> Answer:
        """Start the session and make one attempt, and answer what the phone is told."""
        fields = _fields(request)
        session = self._session(request, fields)
        scenario = _chosen(session, fields)
        if not scenario.starts:
            return json_answer(200, {"resultId": None, "digest": None})
        charge(self._bucket, 3 if session.started_ms is None else 2)
        session = self._upstream.begin(session)
        outcome = scenario.outcome(len(session.attempts))
        if outcome is None:
            return self._give_up(session, scenario)
        return self._attempt(session, outcome, request)

    def _session(self, request: Request, fields: dict[str, Any]) -> Session:
        session = self._upstream.holder(request.bearer_token)
        device_id = fields.get("deviceCorrelationId")
        if device_id is None or not session.order.device_id_set_in_client:
            return session
        return self._upstream.name_device(session, device_id)

    def _give_up(self, session: Session, scenario: Scenario) -> Answer:
        if scenario.cancels:
            self._upstream.cancel(session)
        return json_answer(200, {"resultId": None, "digest": None})

    def _attempt(self, session: Session, outcome: Outcome, request: Request) -> Answer:
        attempt = self._upstream.attempt(session, outcome, self._call(request))
        return json_answer(200, self._told(session, attempt))

    def _call(self, request: Request) -> PhoneCall:
        return PhoneCall(
            request_id=request.request_id,
            client_request_id=request.headers.get("client-request-id", request.request_id),
            user_agent=request.headers.get("user-agent", ""),
            address=request.remote,
            received_ms=self._clock(),
        )

    def _told(self, session: Session, attempt: Attempt) -> dict[str, object]:
        outcome = attempt.outcome
        told: dict[str, object] = {"resultId": attempt.call.request_id, "digest": attempt.digest}
        if outcome.phone_digest_differs:
            told["digest"] = self._identifiers.digest()
        if outcome.failure is not None:
            error = {"code": outcome.failure.code, "message": outcome.failure.message}
            return told | {"digest": None, "error": error}
        if session.order.send_results:
            told["livenessDecision"] = outcome.decision
        return told


def _chosen(session: Session, fields: dict[str, Any]) -> Scenario:
    scenario = scenarios.named(fields["outcome"]) if "outcome" in fields else session.scenario
    if scenario is None:
        raise Refused(error_answer(400, "UnknownOutcome", "GET /simulator/scenarios lists the outcomes."))
    return scenario


def _fields(request: Request) -> dict[str, Any]:
    """Read the optional body: an object with `outcome` and `deviceCorrelationId`, both optional."""
    try:
        fields = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise Refused(errors.INVALID_REQUEST_BODY) from None
    if not isinstance(fields, dict) or not isinstance(fields.get("outcome", ""), str):
        raise Refused(errors.INVALID_REQUEST_BODY)
    if "deviceCorrelationId" in fields and not is_device_id(fields["deviceCorrelationId"]):
        raise Refused(errors.INVALID_DEVICE_ID)
    return fields
