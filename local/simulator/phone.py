"""The phone's side: what the Vision SDK does with an auth token, in routes of our own.

The wire format between the SDK and Face is not public. These calls count against the resource's rate limit as the
real ones do: one for the start, one for the attempt, one for its end.
"""

from typing import Any

from aiohttp import web

from local.simulator import answers, scenarios
from local.simulator.admission import Admission
from local.simulator.answers import Refused
from local.simulator.requests import REQUEST_ID, is_device_id, read_object
from local.simulator.scenarios import Scenario
from local.simulator.sessions import Attempt, PhoneCall, Session, Sessions, make_digest
from shared.clock import Clock


class Phone:
    """Answers `POST /simulator/perform`."""

    def __init__(self, sessions: Sessions, admission: Admission, clock: Clock) -> None:
        self._sessions = sessions
        self._admission = admission
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """The routes of the phone."""
        return [web.post("/simulator/perform", self._perform)]

    async def _perform(self, request: web.Request) -> web.Response:
        """Start the session and make one attempt, and answer what the phone gets to know."""
        fields = await _read_fields(request)
        session = self._sessions.find_by_token(_bearer_token(request))
        if session.order.device_id_set_in_client:
            session.device_id = fields.get("deviceCorrelationId", session.device_id)
        scenario = _scenario(session, fields)
        if not scenario.starts:
            return web.json_response({"resultId": None, "digest": None})
        self._admission.charge(3 if session.started_ms is None else 2)
        self._sessions.start(session)
        outcome = scenario.outcome(len(session.attempts))
        if outcome is None:
            session.canceled = scenario.cancels
            return web.json_response({"resultId": None, "digest": None})
        attempt = self._sessions.attempt(session, outcome, self._call(request))
        return web.json_response(_shown(session, attempt))

    def _call(self, request: web.Request) -> PhoneCall:
        request_id = request[REQUEST_ID]
        return PhoneCall(
            request_id=request_id,
            client_request_id=request.headers.get("client-request-id", request_id),
            user_agent=request.headers.get("User-Agent", ""),
            address=request.remote or "",
            received_ms=self._clock(),
        )


async def _read_fields(request: web.Request) -> dict[str, Any]:
    """Read the optional body: an object with `outcome` and `deviceCorrelationId`, both optional."""
    fields = read_object(await request.read() or b"{}")
    if not isinstance(fields.get("outcome", ""), str):
        raise Refused(answers.INVALID_REQUEST_BODY)
    if "deviceCorrelationId" in fields and not is_device_id(fields["deviceCorrelationId"]):
        raise Refused(answers.INVALID_DEVICE_ID)
    return fields


def _scenario(session: Session, fields: dict[str, Any]) -> Scenario:
    scenario = scenarios.named(fields["outcome"]) if "outcome" in fields else session.scenario
    if scenario is None:
        raise Refused(answers.UNKNOWN_OUTCOME)
    return scenario


def _bearer_token(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _shown(session: Session, attempt: Attempt) -> dict[str, object]:
    outcome = attempt.outcome
    shown: dict[str, object] = {"resultId": attempt.call.request_id}
    if outcome.failure is not None:
        return shown | {"digest": None, "error": outcome.failure.error}
    shown["digest"] = make_digest() if outcome.phone_digest_differs else attempt.digest
    if session.order.send_results:
        shown["livenessDecision"] = outcome.decision
    return shown
