"""Face API v1.1-preview.1: its requests and its responses.

https://github.com/Azure/azure-rest-api-specs, specification/ai/data-plane/Face/preview/v1.1-preview.1
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.face.answers import ApiVersion, broken, identifier, request_id_of
from shared.face.model import (
    AuditEntry,
    Failure,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionStatus,
)
from shared.face.refusals import error_text
from shared.face.results import (
    AttemptId,
    Digest,
    Part,
    decided,
    ended,
    failure,
    read,
    read_all,
    read_part,
    require_session,
    status_of,
    verdict,
)
from shared.http_port import HttpAnswer

_STATUS = {
    "NotStarted": SessionStatus.NOT_STARTED,
    "Started": SessionStatus.STARTED,
    "ResultAvailable": SessionStatus.RESULT_AVAILABLE,
}

# The vendor's page of the create operation: "up to 3 retries".
_ATTEMPTS_ALLOWED = 3

# The entry holds "the HTTP status code returned to the client": a 204 where `sendResultsToClient` is false.
_SUCCEEDED = (200, 204)

# Of an error in each of its shapes.
_ERROR_FIELDS = ("error", "code", "statusCode", "message")

# Phones write these fields. A value is passed on only if its form is right, which no token has.
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_OPERATION = re.compile(r"/face/v[0-9]\.[0-9](?:-preview\.[0-9])?(?:/[A-Za-z]{1,32}){1,4}")
_METHOD = re.compile(r"[A-Z]{1,16}")


class _Response(Part):
    status_code: int
    body: object = None


class _Attempt(Part):
    session_id: str
    request_id: str | None = None
    response: _Response
    digest: Digest = None


class _Request(Part):
    url: str | None = None
    method: str | None = None


class _TimedResponse(_Response):
    latency_in_milliseconds: int | None = None


class _Entry(_Attempt):
    id: AttemptId
    client_request_id: str | None = None
    received_date_time: str
    request: _Request | None = None
    response: _TimedResponse


class _Session(Part):
    id: str
    status: str
    session_expired: bool | None = None
    result: _Attempt | None = None


class _Verdict(Part):
    liveness_decision: str | None = None


def _read_result(response: HttpAnswer, session_id: str) -> SessionResult:
    """Read the result of a session; raises `UpstreamFailure`.

    Published examples show a result under the status `NotStarted`: the status decides.
    """
    session = read(_Session, response)
    require_session(session.id, session_id, response)
    status = status_of(session.status, _STATUS)
    if status is SessionStatus.RESULT_AVAILABLE and session.result:
        require_session(session.result.session_id, session_id, response)
        return ended(
            _outcome(session.result.response, response),
            # Only the latest attempt is shown. `_with_audit` adds the others.
            attempts=1,
            attempts_allowed=0 if session.session_expired else _ATTEMPTS_ALLOWED,
            digest=session.result.digest,
            request_id=identifier(session.result.request_id) or request_id_of(response),
        )
    if session.session_expired:
        return SessionResult(SessionStatus.EXPIRED, request_id=request_id_of(response))
    if status is SessionStatus.RESULT_AVAILABLE:
        raise broken(response, "a result is announced, but missing")
    return SessionResult(status, request_id=request_id_of(response))


def _read_audit(response: HttpAnswer, session_id: str) -> tuple[AuditEntry, ...]:
    """Read a session's attempts, oldest first; raises `UpstreamFailure`."""
    entries = read_all(_Entry, response)
    for entry in entries:
        require_session(entry.session_id, session_id, response)
    return tuple(_audited(entry, response) for entry in sorted(entries, key=lambda entry: entry.id))


def _with_audit(result: SessionResult, entries: Sequence[AuditEntry]) -> SessionResult:
    """Return a result with what the audit says about all attempts, which are its entries.

    A session that is started shows no attempt, but earlier ones may have decided. An attempt may have been made since
    the result was read. It is counted, and the next read has its outcome.
    """
    attempts = max(result.attempts, len(entries))
    decisions = [
        (entry.id, decision) for entry in entries if (decision := decided(entry.decision or entry.failure))
    ]
    return replace(
        result,
        attempts=attempts,
        may_retry=result.may_retry and attempts < _ATTEMPTS_ALLOWED,
        decisions=tuple(decisions) or result.decisions,
    )


def _outcome(answered: _Response, response: HttpAnswer) -> LivenessDecision | Failure:
    text = error_text(answered.body)
    # An attempt with any part of an error in it has no decision, whatever else it holds.
    has_error = isinstance(answered.body, dict) and any(
        answered.body.get(name) is not None for name in _ERROR_FIELDS
    )
    if has_error or answered.status_code not in _SUCCEEDED:
        return failure(text.code, text.message, f"status {answered.status_code}")
    body = {} if answered.body is None else answered.body
    return verdict(read_part(_Verdict, body, response).liveness_decision)


def _audited(entry: _Entry, response: HttpAnswer) -> AuditEntry:
    outcome = _outcome(entry.response, response)
    request = entry.request or _Request()
    return AuditEntry(
        id=entry.id,
        at=_milliseconds(entry.received_date_time, response),
        request_id=identifier(entry.request_id),
        client_request_id=_matching(_GUID, entry.client_request_id),
        method=_matching(_METHOD, request.method),
        path=_matching(_OPERATION, (request.url or "").partition("?")[0]),
        status_code=entry.response.status_code,
        latency=entry.response.latency_in_milliseconds,
        decision=outcome if isinstance(outcome, LivenessDecision) else None,
        failure=outcome if isinstance(outcome, Failure) else None,
        digest=entry.digest,
    )


def _matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    return text if text and pattern.fullmatch(text) else None


def _milliseconds(text: str, response: HttpAnswer) -> int:
    try:
        moment = datetime.fromisoformat(text)
        utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as problem:
        raise broken(response, "not a time") from problem
    return (utc - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


VERSION = ApiVersion(
    name="v1.1-preview.1",
    resource="detectLiveness/singleModal/sessions",
    modes=(LivenessMode.PASSIVE,),
    can_send_results_to_client=True,
    deleted_status=200,
    read_result=_read_result,
    read_audit=_read_audit,
    with_audit=_with_audit,
)
