"""The phone's side: what the Vision SDK does with an auth token, in a route of our own.

The wire format between the SDK and Face is not public. These calls count against the resource's rate limit as the
real ones do: one for the start, one for the attempt, one for its end.
"""

from typing import Any

from aiohttp import web

from local.simulator import answers, scenarios
from local.simulator.admission import Admission
from local.simulator.answers import Answer, Refused, json_answer, read_object
from local.simulator.scenarios import Scenario
from local.simulator.sessions import Attempt, Session, Sessions, make_digest
from local.simulator.versions import is_correlation_id

_NO_ATTEMPT = json_answer(200, {"resultId": None, "digest": None})


class Phone:
    """Answers `POST /simulator/perform`."""

    def __init__(self, sessions: Sessions, admission: Admission) -> None:
        self._sessions = sessions
        self._admission = admission

    async def perform(self, request: web.Request, request_id: str) -> Answer:
        """Start the session and make one attempt, and answer what the phone gets to know.

        The body is optional: an object with `outcome` and `deviceCorrelationId`, both optional.
        """
        fields = read_object(await request.read() or b"{}")
        if "deviceCorrelationId" in fields and not is_correlation_id(fields["deviceCorrelationId"]):
            raise Refused(answers.INVALID_DEVICE_ID)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        session = self._sessions.find_by_token(token.strip() if scheme.lower() == "bearer" else "")
        if session.order.get("deviceCorrelationIdSetInClient"):
            session.device_id = fields.get("deviceCorrelationId", session.device_id)
        scenario = _scenario(session, fields)
        if not scenario.starts:
            return _NO_ATTEMPT
        self._admission.charge(3 if session.started_ms is None else 2)
        self._sessions.start(session)
        outcome = scenario.outcome(len(session.attempts))
        if outcome is None:
            session.canceled = scenario.cancels
            return _NO_ATTEMPT
        attempt = self._sessions.attempt(
            session,
            outcome,
            request_id=request_id,
            client_request_id=request.headers.get("client-request-id", request_id),
            user_agent=request.headers.get("User-Agent", ""),
            address=request.remote or "",
        )
        return _shown(session, attempt)


def _scenario(session: Session, fields: dict[str, Any]) -> Scenario:
    if "outcome" not in fields:
        return session.scenario
    if not isinstance(fields["outcome"], str):
        raise Refused(answers.INVALID_REQUEST_BODY)
    if (scenario := scenarios.named(fields["outcome"])) is None:
        raise Refused(answers.UNKNOWN_OUTCOME)
    return scenario


def _shown(session: Session, attempt: Attempt) -> Answer:
    outcome = attempt.outcome
    shown: dict[str, object] = {"resultId": attempt.request_id}
    if outcome.failure is not None:
        return json_answer(200, shown | {"digest": None, "error": outcome.failure})
    shown["digest"] = make_digest() if outcome.phone_digest_differs else attempt.digest
    if session.order.get("sendResultsToClient"):
        shown["livenessDecision"] = outcome.decision
    return json_answer(200, shown)
