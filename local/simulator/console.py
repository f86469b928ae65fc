"""What the simulator tells about itself, and the fault switch over HTTP."""

import json
from collections.abc import Mapping

from local.simulator import errors
from local.simulator.clock import Clock
from local.simulator.errors import Refused
from local.simulator.messages import Answer, Request, json_answer
from local.simulator.scenarios import SCENARIOS
from local.simulator.switch import FaultSwitch
from local.simulator.upstream import Session, Upstream


class Console:
    """Answers the routes that neither a broker nor a phone calls."""

    def __init__(
        self, upstream: Upstream, calls: Mapping[str, int], switch: FaultSwitch, clock: Clock
    ) -> None:
        self._upstream = upstream
        self._calls = calls
        self._switch = switch
        self._clock = clock

    def scenarios(self, _request: Request) -> Answer:
        """List the magic device ids."""
        return json_answer(
            200,
            [{"deviceId": each.device_id, "call": each.call, "happens": each.happens} for each in SCENARIOS],
        )

    def sessions(self, _request: Request) -> Answer:
        """List the sessions that are stored, and after them those that were deleted."""
        now = self._clock()
        return json_answer(
            200, [_shown(each, now) for each in (*self._upstream.stored, *self._upstream.deleted)]
        )

    def calls(self, _request: Request) -> Answer:
        """Count the calls of each operation."""
        return json_answer(200, dict(self._calls))

    def fail(self, request: Request) -> Answer:
        """Make the next calls fail: `{"status": 503, "count": 10}` or `{"down": true}`, `count` optional."""
        match _object(request.body):
            case {"down": True, **more} if not more.keys() - {"count"}:
                answer = errors.CONNECTION_LOST
            case {"status": int(status), **more} if 400 <= status <= 599 and not more.keys() - {"count"}:
                answer = errors.of_status(status)
            case _:
                raise Refused(errors.INVALID_REQUEST_BODY)
        self._switch.fail(answer, _count(more))
        return Answer(204)

    def recover(self, _request: Request) -> Answer:
        """End the fault."""
        self._switch.clear()
        return Answer(204)


def _object(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(errors.INVALID_REQUEST_BODY) from None


def _count(fields: Mapping[object, object]) -> int | None:
    match fields.get("count"):
        case None:
            return None
        case int(count) if count >= 1:
            return count
        case _:
            raise Refused(errors.INVALID_REQUEST_BODY)


def _shown(session: Session, now_ms: int) -> dict[str, object]:
    return {
        "sessionId": session.session_id,
        "apiVersion": session.order.api_version,
        "deviceCorrelationId": session.device_id,
        "status": session.status,
        "attempts": len(session.attempts),
        "canceled": session.canceled,
        "tokenExpired": session.token_expired(now_ms),
        "deleted": session.deleted,
    }
