"""Face API v1.1-preview.1: how its requests are built, and what its answers mean.

https://github.com/Azure/azure-rest-api-specs, specification/ai/data-plane/Face/preview/v1.1-preview.1
"""

from shared.face import session_ids
from shared.face.model import (
    Failure,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionSpec,
    SessionStatus,
)
from shared.face.outcomes import Digest, ended, failure, read_created, require_session, status_of, verdict
from shared.face.reading import Part, read, read_part
from shared.face.refusals import error_text
from shared.face.wire import UpstreamRequest, UpstreamResponse, broken, identifier

__all__ = [
    "API_VERSION",
    "CAN_SEND_RESULTS_TO_CLIENT",
    "MODES",
    "create_request",
    "delete_request",
    "read_created",
    "read_result",
    "result_request",
]

API_VERSION = "v1.1-preview.1"
MODES: tuple[LivenessMode, ...] = (LivenessMode.PASSIVE,)
CAN_SEND_RESULTS_TO_CLIENT = True

_SESSIONS = f"/face/{API_VERSION}/detectLiveness/singleModal/sessions"

_STATUS = {
    "NotStarted": SessionStatus.NOT_STARTED,
    "Started": SessionStatus.STARTED,
    "ResultAvailable": SessionStatus.RESULT_AVAILABLE,
}


# The entry holds "the HTTP status code returned to the client": a 204 where `sendResultsToClient` is false.
_SUCCEEDED = (200, 204)


class _Response(Part):
    status_code: int
    body: object = None


class _Attempt(Part):
    session_id: str
    request_id: str | None = None
    response: _Response
    digest: Digest | None = None


class _Session(Part):
    id: str
    status: str
    session_expired: bool = False
    result: _Attempt | None = None


class _Verdict(Part):
    liveness_decision: str | None = None


def create_request(spec: SessionSpec) -> UpstreamRequest:
    """Ask for a session; the client names its device where `spec` has none."""
    content: dict[str, object] = {
        "livenessOperationMode": spec.mode.value,
        "authTokenTimeToLiveInSeconds": spec.token_lifetime,
        "sendResultsToClient": spec.send_results_to_client,
        "deviceCorrelationIdSetInClient": spec.device_id is None,
    }
    if spec.device_id is not None:
        content["deviceCorrelationId"] = spec.device_id
    return UpstreamRequest("POST", _SESSIONS, content)


def result_request(session_id: str) -> UpstreamRequest:
    """Ask how a session stands; raises `UpstreamSessionGone` for an id that no session can have."""
    return UpstreamRequest("GET", session_ids.path_below(_SESSIONS, session_id))


def delete_request(session_id: str) -> UpstreamRequest:
    """Delete a session; raises `UpstreamSessionGone` for an id that no session can have."""
    return UpstreamRequest("DELETE", session_ids.path_below(_SESSIONS, session_id))


def read_result(response: UpstreamResponse, session_id: str) -> SessionResult:
    """Read how the session stands; raises `UpstreamFailure`.

    Published examples show a result under the status `NotStarted`: the status decides.
    """
    session = read(_Session, response)
    require_session(session.id, session_id, response)
    status = status_of(session.status, _STATUS)
    if status is SessionStatus.RESULT_AVAILABLE and session.result:
        require_session(session.result.session_id, session_id, response)
        return _ended(session.result, response)
    if session.session_expired:
        return SessionResult(SessionStatus.EXPIRED, request_id=response.request_id)
    if status is SessionStatus.RESULT_AVAILABLE:
        raise broken(response, "a result is announced, but there is none")
    return SessionResult(status, request_id=response.request_id)


def _ended(attempt: _Attempt, response: UpstreamResponse) -> SessionResult:
    return ended(
        _outcome(attempt.response, response),
        attempts=1,  # This version shows the latest alone.
        digest=attempt.digest,
        request_id=identifier(attempt.request_id) or response.request_id,
    )


def _outcome(answered: _Response, response: UpstreamResponse) -> LivenessDecision | Failure:
    text = error_text(answered.body)
    if text.code or answered.status_code not in _SUCCEEDED:
        return failure(text.code, text.message, f"status {answered.status_code}")
    body = {} if answered.body is None else answered.body
    return verdict(read_part(_Verdict, body, response).liveness_decision)
