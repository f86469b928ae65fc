"""The routes that show what the simulator holds, and those that make it fail."""

from collections.abc import Mapping

from aiohttp import web

from local.simulator import answers
from local.simulator.admission import Admission
from local.simulator.answers import Refused
from local.simulator.requests import read_object
from local.simulator.scenarios import SCENARIOS, Fault
from local.simulator.sessions import Session, Sessions
from shared.clock import Clock


class Control:
    """Answers the routes under `/simulator` that no phone calls."""

    def __init__(
        self, sessions: Sessions, admission: Admission, calls: Mapping[str, int], clock: Clock
    ) -> None:
        self._sessions = sessions
        self._admission = admission
        self._calls = calls
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """The routes of console and tests."""
        return [
            web.get("/simulator/scenarios", self._show_scenarios),
            web.get("/simulator/sessions", self._show_sessions),
            web.get("/simulator/calls", self._show_calls),
            web.post("/simulator/fault", self._fail),
            web.delete("/simulator/fault", self._recover),
        ]

    async def _show_scenarios(self, _request: web.Request) -> web.Response:
        return web.json_response(
            [{"deviceId": each.device_id, "call": each.call, "happens": each.happens} for each in SCENARIOS]
        )

    async def _show_sessions(self, _request: web.Request) -> web.Response:
        """Show the sessions that are stored, and after them those that were deleted."""
        now_ms = self._clock()
        return web.json_response(
            [_shown(each, now_ms) for each in (*self._sessions.stored, *self._sessions.deleted)]
        )

    async def _show_calls(self, _request: web.Request) -> web.Response:
        return web.json_response(dict(self._calls))

    async def _fail(self, request: web.Request) -> web.Response:
        """Make the next calls fail: `{"status": 503, "count": 10}` or `{"down": true}`, `count` optional."""
        fields = read_object(await request.read())
        count = fields.pop("count", None)
        match fields:
            case {"down": True, **rest} if not rest:
                fault = Fault(lost=True)
            case {"status": int(status), **rest} if 400 <= status <= 599 and not rest:
                fault = Fault(answers.of_status(status))
            case _:
                raise Refused(answers.INVALID_REQUEST_BODY)
        if count is not None and not (type(count) is int and count >= 1):
            raise Refused(answers.INVALID_REQUEST_BODY)
        self._admission.fail(fault, count)
        return web.Response(status=204)

    async def _recover(self, _request: web.Request) -> web.Response:
        """End the fault."""
        self._admission.recover()
        return web.Response(status=204)


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
