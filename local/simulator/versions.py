"""The versions of the Face API on the wire: where sessions are, what a create takes, and how a session is shown.

Sources: the page of the create operation (v1.1-preview.1); Azure/azure-rest-api-specs,
specification/ai/data-plane/Face, folders preview/v1.1-preview.1, stable/v1.2 and preview/v1.3-preview.1, whose
examples show the fields. Not documented, and so a guess: a failed attempt of v1.1-preview.1 is an entry with a 400
and an error body (`LivenessResponseBody` is open "for accepting failure response"); the status of v1.2 follows the
latest attempt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from local.simulator import answers
from local.simulator.answers import Answer, Refused, read_object
from local.simulator.sessions import Attempt, Session

Json = dict[str, object]

# The same in all published examples.
_FACE_RECTANGLE = {"top": 669, "left": 203, "width": 646, "height": 724}
_LATEST_MODEL = "2024-11-15"

FLAGGED_SESSION = "b12e033e-bda7-4b83-a211-e721c661f30e"
"""The other session that abuse monitoring names; there is no such session."""

LONGEST_ID = 64
"""The most characters of an id."""

_FIELDS: Mapping[str, type] = {
    "livenessOperationMode": str,
    "deviceCorrelationId": str,
    "deviceCorrelationIdSetInClient": bool,
    "authTokenTimeToLiveInSeconds": int,
}
_V1_2_FIELDS = {**_FIELDS, "enableSessionImage": bool, "livenessModelVersion": str}
_V1_3_FIELDS = {
    **_V1_2_FIELDS,
    "numberOfClientAttemptsAllowed": int,
    "userCorrelationId": str,
    "userCorrelationIdSetInClient": bool,
    "expectedClientIpAddress": str,
}


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the API.

    `fields` are those of a create request, with their JSON types. `created` and `result` make the JSON of a session,
    `result` for a time in unix milliseconds. Only v1.1-preview.1 audits sessions (`has_audit`).
    """

    root: str
    fields: Mapping[str, type]
    modes: tuple[str, ...]
    attempts_allowed: int
    created: Callable[[Session], Json]
    result: Callable[[Session, int], Json]
    deleted: Answer
    unauthorized: Answer
    has_audit: bool = False


def read_create(version: Version, body: bytes) -> dict[str, Any]:
    """Read the body of a create request, and add the defaults; raises `Refused`.

    Codes and messages are documented (the page of the create operation). The code for a missing mode, for unknown
    fields and for null (for anything but the device id) is not: here it is `InvalidRequestBody`.
    """
    fields = read_object(body)
    if fields.get("deviceCorrelationId", "") is None:
        del fields["deviceCorrelationId"]
    if "livenessOperationMode" not in fields or not all(
        type(value) is version.fields.get(name) for name, value in fields.items()
    ):
        raise Refused(answers.INVALID_REQUEST_BODY)
    order: dict[str, Any] = {
        "authTokenTimeToLiveInSeconds": 600,
        "numberOfClientAttemptsAllowed": version.attempts_allowed,
        "livenessModelVersion": _LATEST_MODEL,
        **fields,
    }
    if order["livenessOperationMode"] not in version.modes:
        raise Refused(answers.INVALID_MODE)
    if not 60 <= order["authTokenTimeToLiveInSeconds"] <= 86400:
        raise Refused(answers.INVALID_TOKEN_LIFETIME)
    device_id = order.get("deviceCorrelationId")
    if not (device_id is None if order.get("deviceCorrelationIdSetInClient") else is_device_id(device_id)):
        raise Refused(answers.INVALID_DEVICE_ID)
    if not 1 <= order["numberOfClientAttemptsAllowed"] <= 3:
        raise Refused(answers.INVALID_REQUEST_BODY)
    return order


def is_device_id(value: object) -> bool:
    """Return whether a value may be a device id: 1 to 64 characters."""
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_ID


def show_entry(session: Session, attempt: Attempt) -> Json:
    """Show an attempt of v1.1-preview.1 as its audit does."""
    return {
        "id": attempt.entry_id,
        "sessionId": session.session_id,
        "requestId": attempt.request_id,
        "clientRequestId": attempt.client_request_id,
        "receivedDateTime": _date_time(attempt.received_ms),
        "request": {
            "url": "/face/v1.1-preview.1/detectliveness/singlemodal",
            "method": "POST",
            "contentLength": 247110,
            "contentType": "multipart/form-data",
            "userAgent": attempt.user_agent,
        },
        "response": _v1_1_response(attempt),
        "digest": attempt.digest,
    }


def _v1_1_created(session: Session) -> Json:
    return {"sessionId": session.session_id, "authToken": session.auth_token}


def _v1_1_result(session: Session, now_ms: int) -> Json:
    shown: Json = {
        "id": session.session_id,
        "createdDateTime": _date_time(session.created_ms),
        "sessionExpired": session.token_expired(now_ms),
        "authTokenTimeToLiveInSeconds": session.order["authTokenTimeToLiveInSeconds"],
        "status": session.status,
    }
    if session.started_ms is not None:
        shown["sessionStartDateTime"] = _date_time(session.started_ms)
    if session.device_id is not None:
        shown["deviceCorrelationId"] = session.device_id
    if session.attempts:
        shown["result"] = show_entry(session, session.attempts[-1])
    return shown


def _v1_1_response(attempt: Attempt) -> Json:
    failure = attempt.outcome.failure
    if failure is not None:
        return {"body": {"error": failure}, "statusCode": 400, "latencyInMilliseconds": 1200}
    body = {
        "livenessDecision": attempt.outcome.decision,
        "target": {
            "faceRectangle": _FACE_RECTANGLE,
            "fileName": "content",
            "timeOffsetWithinFile": 0,
            "imageType": "Color",
        },
        "modelVersionUsed": "2022-10-15-preview.04",
    }
    return {"body": body, "statusCode": 200, "latencyInMilliseconds": 1200}


def _date_time(unix_ms: int) -> str:
    seconds, milliseconds = divmod(unix_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def _v1_2_session(session: Session, _now_ms: int = 0) -> Json:
    # The auth token is part of every answer of this version, also when a result is read.
    return {
        "sessionId": session.session_id,
        "authToken": session.auth_token,
        "status": _v1_2_status(session),
        "modelVersion": session.order["livenessModelVersion"],
        "results": {"attempts": [_v1_2_attempt(session, attempt) for attempt in reversed(session.attempts)]},
    }


def _v1_2_status(session: Session) -> str:
    if session.canceled:
        return "Canceled"
    if session.attempts:
        return _attempt_status(session.attempts[-1])
    return "Running" if session.status == "Started" else session.status


def _v1_2_attempt(session: Session, attempt: Attempt) -> Json:
    targets = {"color": {"faceRectangle": _FACE_RECTANGLE}}
    shown: Json = {"attemptId": attempt.attempt_id, "attemptStatus": _attempt_status(attempt)}
    failure = attempt.outcome.failure
    if failure is not None:
        return shown | {"error": dict(failure) | {"targets": targets}}
    result = {"livenessDecision": attempt.outcome.decision, "targets": targets, "digest": attempt.digest}
    if session.order.get("enableSessionImage"):
        result["sessionImageId"] = attempt.request_id.replace("-", "")
    return shown | {"result": result}


def _attempt_status(attempt: Attempt) -> str:
    return "Succeeded" if attempt.outcome.failure is None else "Failed"


def _v1_3_session(session: Session, _now_ms: int = 0) -> Json:
    attempts = [_v1_3_attempt(session, attempt) for attempt in reversed(session.attempts)]
    shown = _v1_2_session(session) | {"isAbuseMonitoringEnabled": True, "results": {"attempts": attempts}}
    if "expectedClientIpAddress" in session.order:
        shown["expectedClientIpAddress"] = session.order["expectedClientIpAddress"]
    return shown


def _v1_3_attempt(session: Session, attempt: Attempt) -> Json:
    shown = _v1_2_attempt(session, attempt) | {"clientInformation": [{"ip": attempt.address}]}
    if attempt.outcome.failure is None:
        is_abuse = attempt.outcome.is_abuse
        shown["abuseMonitoringResult"] = {
            "isAbuseDetected": is_abuse,
            "otherFlaggedSessions": [{"attemptId": 1, "sessionId": FLAGGED_SESSION}] if is_abuse else [],
        }
    return shown


_V1_1 = Version(
    root="/face/v1.1-preview.1/detectLiveness/singleModal/sessions",
    fields={**_FIELDS, "sendResultsToClient": bool},
    modes=("Passive",),
    attempts_allowed=3,
    created=_v1_1_created,
    result=_v1_1_result,
    deleted=Answer(200),
    unauthorized=answers.UNAUTHORIZED_UNSPECIFIED,
    has_audit=True,
)
_V1_2 = Version(
    root="/face/v1.2/detectLiveness-sessions",
    fields=_V1_2_FIELDS,
    modes=("Passive", "PassiveActive"),
    attempts_allowed=3,
    created=_v1_2_session,
    result=_v1_2_session,
    deleted=Answer(204),
    unauthorized=answers.UNAUTHORIZED_401,
)
_V1_3 = replace(
    _V1_2,
    root="/face/v1.3-preview.1/detectLiveness-sessions",
    fields=_V1_3_FIELDS,
    attempts_allowed=1,
    created=_v1_3_session,
    result=_v1_3_session,
)
VERSIONS = (_V1_1, _V1_2, _V1_3)
