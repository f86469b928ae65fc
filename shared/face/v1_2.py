"""Face API v1.2: its requests and its responses.

https://github.com/Azure/azure-rest-api-specs, specification/ai/data-plane/Face/stable/v1.2
"""

from shared.face.answers import ApiVersion, UpstreamResponse, broken
from shared.face.model import Failure, LivenessDecision, LivenessMode, SessionResult, SessionStatus
from shared.face.results import Digest, Part, ended, failure, read, require_session, status_of, verdict

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
    digest: Digest = None


class _Error(Part):
    code: str | None = None
    message: str | None = None


class _Attempt(Part):
    attempt_id: int
    attempt_status: str
    result: _Verdict | None = None
    error: _Error | None = None


class _Results(Part):
    attempts: list[_Attempt] | None = None


class _Session(Part):
    session_id: str
    status: str
    results: _Results | None = None


def _read_result(response: UpstreamResponse, session_id: str) -> SessionResult:
    """Read the result of a session; raises `UpstreamFailure`.

    The response also holds the session's token, which is not read.
    """
    session = read(_Session, response)
    require_session(session.session_id, session_id, response)
    status = status_of(session.status, _STATUS)
    attempts = (session.results.attempts if session.results else None) or []
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
