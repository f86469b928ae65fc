"""Face API v1.2: its requests and its responses.

https://github.com/Azure/azure-rest-api-specs, specification/ai/data-plane/Face/stable/v1.2
"""

from pydantic import Field

from shared.face.answers import (
    AuditFunctions,
    Digest,
    Part,
    UpstreamRequest,
    UpstreamResponse,
    broken,
    ended,
    failure,
    read,
    read_created,
    require_session,
    session_path,
    status_of,
    verdict,
)
from shared.face.model import (
    Failure,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionSpec,
    SessionStatus,
)

__all__ = [
    "API_VERSION",
    "AUDIT",
    "CAN_SEND_RESULTS_TO_CLIENT",
    "MODES",
    "create_request",
    "delete_request",
    "read_created",
    "read_result",
    "result_request",
]

API_VERSION = "v1.2"
MODES: tuple[LivenessMode, ...] = (LivenessMode.PASSIVE, LivenessMode.PASSIVE_ACTIVE)
CAN_SEND_RESULTS_TO_CLIENT = False
AUDIT: AuditFunctions | None = None

_SESSIONS = f"/face/{API_VERSION}/detectLiveness-sessions"

_SUCCEEDED = "Succeeded"
_STATUS = {
    "NotStarted": SessionStatus.NOT_STARTED,
    "Running": SessionStatus.STARTED,
    _SUCCEEDED: SessionStatus.RESULT_AVAILABLE,
    "Failed": SessionStatus.RESULT_AVAILABLE,
    "Canceled": SessionStatus.RESULT_AVAILABLE,
}


class _Verdict(Part):
    liveness_decision: str | None = None
    digest: Digest | None = None


class _Error(Part):
    code: str | None = None
    message: str | None = None


class _Attempt(Part):
    attempt_id: int
    attempt_status: str
    result: _Verdict | None = None
    error: _Error | None = None


class _Results(Part):
    attempts: list[_Attempt] = Field(default_factory=list)


class _Session(Part):
    session_id: str
    status: str
    results: _Results | None = None


def create_request(spec: SessionSpec) -> UpstreamRequest:
    """Build the request for a new session without image; the client names its device if `spec` does not."""
    content: dict[str, object] = {
        "livenessOperationMode": spec.mode.value,
        "authTokenTimeToLiveInSeconds": spec.token_lifetime,
        "deviceCorrelationIdSetInClient": spec.device_id is None,
        "enableSessionImage": False,
    }
    if spec.device_id is not None:
        content["deviceCorrelationId"] = spec.device_id
    return UpstreamRequest("POST", _SESSIONS, content)


def result_request(session_id: str) -> UpstreamRequest:
    """Build the request for a result; raises `UpstreamSessionGone` for an id that no session can have."""
    return UpstreamRequest("GET", session_path(_SESSIONS, session_id))


def delete_request(session_id: str) -> UpstreamRequest:
    """Build the request to delete a session; raises `UpstreamSessionGone` for an id that no session can have."""
    return UpstreamRequest("DELETE", session_path(_SESSIONS, session_id))


def read_result(response: UpstreamResponse, session_id: str) -> SessionResult:
    """Read the result of a session; raises `UpstreamFailure`.

    The response also holds the session's token, which is not read.
    """
    session = read(_Session, response)
    require_session(session.session_id, session_id, response)
    status = status_of(session.status, _STATUS)
    attempts = session.results.attempts if session.results else []
    if status is not SessionStatus.RESULT_AVAILABLE:
        return SessionResult(status, attempts=len(attempts), request_id=response.request_id)
    if not attempts and session.status == _SUCCEEDED:
        raise broken(response, "a result is announced, but missing")
    latest = _latest(attempts, response)
    return ended(
        _outcome(session.status, latest),
        attempts=len(attempts),
        digest=latest.result.digest if latest and latest.result else None,
        request_id=response.request_id,
    )


def _latest(attempts: list[_Attempt], response: UpstreamResponse) -> _Attempt | None:
    # Published examples have the newest first, the vendor's tutorial the oldest: only the id is reliable.
    by_id = {attempt.attempt_id: attempt for attempt in attempts}
    if len(by_id) != len(attempts):
        raise broken(response, "two attempts have the same id")
    return by_id[max(by_id)] if by_id else None


def _outcome(session_status: str, latest: _Attempt | None) -> LivenessDecision | Failure:
    if latest is None:
        return failure(None, None, session_status)
    # An attempt with an error in it has no decision, whatever else it holds.
    if session_status == latest.attempt_status == _SUCCEEDED and latest.error is None:
        return verdict(latest.result.liveness_decision if latest.result else None)
    ended_as = latest.attempt_status if session_status == _SUCCEEDED else session_status
    error = latest.error or _Error()
    return failure(error.code, error.message, ended_as)
