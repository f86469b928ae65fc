"""Face API v1.2: its requests and its responses.

https://github.com/Azure/azure-rest-api-specs, specification/ai/data-plane/Face/stable/v1.2
"""

from collections.abc import Sequence
from dataclasses import replace

from shared.face.answers import ApiVersion, broken, request_id_of
from shared.face.model import Failure, LivenessDecision, LivenessMode, SessionResult, SessionStatus
from shared.face.results import (
    AttemptId,
    Digest,
    Part,
    decided,
    ended,
    failure,
    read,
    require_session,
    status_of,
    verdict,
)
from shared.http_port import HttpAnswer

# As in the versions before. This version's page does not say how many attempts a session has.
_ATTEMPTS_ALLOWED = 3
_SUCCEEDED = "Succeeded"
_CANCELED = "Canceled"
_STATUS = {
    "NotStarted": SessionStatus.NOT_STARTED,
    "Running": SessionStatus.STARTED,
    _SUCCEEDED: SessionStatus.RESULT_AVAILABLE,
    "Failed": SessionStatus.RESULT_AVAILABLE,
    _CANCELED: SessionStatus.RESULT_AVAILABLE,
}


class _Verdict(Part):
    liveness_decision: str | None = None
    digest: Digest = None


class _Error(Part):
    code: str | None = None
    message: str | None = None


class Attempt(Part):
    """One attempt of a session."""

    attempt_id: AttemptId
    attempt_status: str
    result: _Verdict | None = None
    error: _Error | None = None


class Results(Part):
    """The attempts of a session, in no particular order."""

    attempts: Sequence[Attempt] | None = None


class Session(Part):
    """A session. The response also holds its token, which is not read."""

    session_id: str
    status: str
    results: Results | None = None


def _read_result(response: HttpAnswer, session_id: str) -> SessionResult:
    """Read the result of a session; raises `UpstreamFailure`."""
    session = read(Session, response)
    require_session(session.session_id, session_id, response)
    return result_of(session, response, _ATTEMPTS_ALLOWED)


def attempts_of(session: Session, response: HttpAnswer) -> list[Attempt]:
    """Return the attempts of a session, the oldest first; raises `UpstreamFailure` if two have the same id.

    Published examples have the newest first, the vendor's tutorial the oldest: only the id is reliable.
    """
    attempts = (session.results.attempts if session.results else None) or []
    if len({attempt.attempt_id for attempt in attempts}) != len(attempts):
        raise broken(response, "two attempts have the same id")
    return sorted(attempts, key=lambda attempt: attempt.attempt_id)


def result_of(session: Session, response: HttpAnswer, attempts_allowed: int) -> SessionResult:
    """Return the result of a session that was read from a response; raises `UpstreamFailure`."""
    attempts = attempts_of(session, response)
    outcomes = [(attempt.attempt_id, _attempt_outcome(attempt)) for attempt in attempts]
    decisions = tuple([(number, decision) for number, outcome in outcomes if (decision := decided(outcome))])
    status = status_of(session.status, _STATUS)
    if status is not SessionStatus.RESULT_AVAILABLE:
        return SessionResult(
            status, attempts=len(attempts), request_id=request_id_of(response), decisions=decisions
        )
    if not attempts and session.status == _SUCCEEDED:
        raise broken(response, "a result is announced, but missing")
    latest = attempts[-1] if attempts else None
    result = ended(
        _outcome(session.status, latest),
        attempts=len(attempts),
        attempts_allowed=attempts_allowed,
        digest=latest.result.digest if latest and latest.result else None,
        request_id=request_id_of(response),
    )
    # A session that was canceled, or ended without any attempt, cannot go on.
    may_retry = result.may_retry and latest is not None and session.status != _CANCELED
    return replace(result, may_retry=may_retry, decisions=decisions)


def _outcome(session_status: str, latest: Attempt | None) -> LivenessDecision | Failure:
    if latest is None:
        return failure(None, None, session_status)
    if session_status == _SUCCEEDED:
        return _attempt_outcome(latest)
    error = latest.error or _Error()
    return failure(error.code, error.message, session_status)


def _attempt_outcome(attempt: Attempt) -> LivenessDecision | Failure:
    # An attempt with an error in it has no decision, whatever else it holds.
    if attempt.attempt_status == _SUCCEEDED and attempt.error is None:
        return verdict(attempt.result.liveness_decision if attempt.result else None)
    error = attempt.error or _Error()
    return failure(error.code, error.message, attempt.attempt_status)


VERSION = ApiVersion(
    name="v1.2",
    resource="detectLiveness-sessions",
    modes=(LivenessMode.PASSIVE, LivenessMode.PASSIVE_ACTIVE),
    can_send_results_to_client=False,
    deleted_status=204,
    fixed_options={"enableSessionImage": False},
    read_result=_read_result,
    read_audit=None,
)
