"""The versions of the Face API on the wire: where sessions are, what a create takes, and how a session is shown.

Sources: the page of the create operation (v1.1-preview.1); Azure/azure-rest-api-specs,
specification/ai/data-plane/Face, folders preview/v1.1-preview.1, stable/v1.2 and preview/v1.3-preview.1, whose
examples show the fields. Not documented, and so a guess: a failed attempt of v1.1-preview.1 is an entry with a 400
and an error body (`LivenessResponseBody` is open "for accepting failure response"); the status of v1.2 follows the
latest attempt.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from local.simulator import answers, scenarios
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
# Samples of Microsoft send `userCorrelationId` to v1.2, whose specification does not name it:
# https://github.com/Azure-Samples/azure-ai-vision-sdk, https://github.com/Azure/azure-sdk-for-net/issues/53289
_V1_2_FIELDS = {
    **_FIELDS,
    "enableSessionImage": bool,
    "livenessModelVersion": str,
    "userCorrelationId": str,
}
_V1_3_FIELDS = {
    **_V1_2_FIELDS,
    "numberOfClientAttemptsAllowed": int,
    "userCorrelationIdSetInClient": bool,
    "expectedClientIpAddress": str,
}


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the API.

    `fields` are those of a create request, with their JSON types. `created` and `result` make the JSON of a session,
    `result` for a time in unix milliseconds. Only v1.1-preview.1 lists sessions and audits them
    (`has_listing`). Its published example of a create has a device id although the device sets its own
    (`takes_both_ids`).
    """

    root: str
    fields: Mapping[str, type]
    modes: tuple[str, ...]
    attempts_allowed: int
    created: Callable[[Session], Json]
    result: Callable[[Session, int], Json]
    deleted: Answer
    unauthorized: Answer
    has_listing: bool = False
    takes_both_ids: bool = False
    has_images: bool = False
    has_settings: bool = False

    @property
    def base(self) -> str:
        """The path of the version, which `root` begins with."""
        return "/".join(self.root.split("/")[:3])


def read_create(version: Version, body: bytes) -> dict[str, Any]:
    """Read the body of a create request, and add the defaults; raises `Refused`.

    Codes and messages are documented (the page of the create operation). The code for a missing mode, for unknown
    fields, for null (for anything but an id), and for a wrong user id or address is not: here it is
    `InvalidRequestBody`.
    """
    fields = read_object(body)
    for name in ("deviceCorrelationId", "userCorrelationId"):
        if fields.get(name, "") is None:
            del fields[name]
    if "livenessOperationMode" not in fields or not all(
        type(value) is version.fields.get(name) for name, value in fields.items()
    ):
        raise Refused(answers.INVALID_REQUEST_BODY)
    order: dict[str, Any] = {
        "authTokenTimeToLiveInSeconds": 600,
        "numberOfClientAttemptsAllowed": _attempts_allowed(version, fields),
        "livenessModelVersion": _LATEST_MODEL,
        **fields,
    }
    if order["livenessOperationMode"] not in version.modes:
        raise Refused(answers.INVALID_MODE)
    if not 60 <= order["authTokenTimeToLiveInSeconds"] <= 86400:
        raise Refused(answers.INVALID_TOKEN_LIFETIME)
    if not _are_device_fields(version, order):
        raise Refused(answers.INVALID_DEVICE_ID)
    if not (
        1 <= order["numberOfClientAttemptsAllowed"] <= 3
        and _are_user_fields(order)
        and _is_network(order.get("expectedClientIpAddress", "0.0.0.0/0"))
    ):
        raise Refused(answers.INVALID_REQUEST_BODY)
    return order


def is_correlation_id(value: object) -> bool:
    """Return whether a value may be a device id or a user id: 1 to 64 characters."""
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_ID


def _attempts_allowed(version: Version, fields: Mapping[str, Any]) -> int:
    """Return how many attempts a session has by default: a magic id has as many as it has outcomes."""
    scenario = scenarios.of_device(fields.get("deviceCorrelationId"))
    return max(version.attempts_allowed, len(scenario.attempts))


def _are_device_fields(version: Version, order: Mapping[str, Any]) -> bool:
    device_id = order.get("deviceCorrelationId")
    if not order.get("deviceCorrelationIdSetInClient"):
        return is_correlation_id(device_id)
    return device_id is None or (version.takes_both_ids and is_correlation_id(device_id))


def _are_user_fields(order: Mapping[str, Any]) -> bool:
    """Return whether the user id, which is optional, is in one place only."""
    user_id = order.get("userCorrelationId")
    return user_id is None or (is_correlation_id(user_id) and not order.get("userCorrelationIdSetInClient"))


def _is_network(text: str) -> bool:
    """Return whether a text is an IP address or a CIDR block."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def show_item(session: Session, now_ms: int) -> Json:
    """Show a session of v1.1-preview.1 as its list does."""
    shown: Json = {
        "id": session.session_id,
        "createdDateTime": date_time(session.created_ms),
        "sessionExpired": session.token_expired(now_ms),
        "authTokenTimeToLiveInSeconds": session.order["authTokenTimeToLiveInSeconds"],
    }
    if session.started_ms is not None:
        shown["sessionStartDateTime"] = date_time(session.started_ms)
    if session.device_id is not None:
        shown["deviceCorrelationId"] = session.device_id
    return shown


def show_entry(session: Session, attempt: Attempt) -> Json:
    """Show an attempt of v1.1-preview.1 as its audit does."""
    return {
        "id": attempt.entry_id,
        "sessionId": session.session_id,
        "requestId": attempt.request_id,
        "clientRequestId": attempt.client_request_id,
        "receivedDateTime": date_time(attempt.received_ms),
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
    shown = show_item(session, now_ms) | {"status": session.status}
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


def date_time(unix_ms: int) -> str:
    """Write a time as Face does."""
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
    if attempt.image_id is not None:
        result["sessionImageId"] = attempt.image_id
    return shown | {"result": result}


def _attempt_status(attempt: Attempt) -> str:
    return "Succeeded" if attempt.outcome.failure is None else "Failed"


def _v1_3_session(session: Session, _now_ms: int = 0) -> Json:
    attempts = [_v1_3_attempt(session, attempt) for attempt in reversed(session.attempts)]
    shown = _v1_2_session(session) | {
        "isAbuseMonitoringEnabled": session.monitors_abuse,
        "results": {"attempts": attempts},
    }
    if "expectedClientIpAddress" in session.order:
        shown["expectedClientIpAddress"] = session.order["expectedClientIpAddress"]
    return shown


def _v1_3_attempt(session: Session, attempt: Attempt) -> Json:
    shown = _v1_2_attempt(session, attempt) | {"clientInformation": [{"ip": attempt.address}]}
    if attempt.outcome.failure is None and session.monitors_abuse:
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
    has_listing=True,
    takes_both_ids=True,
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
    has_images=True,
)
_V1_3 = replace(
    _V1_2,
    root="/face/v1.3-preview.1/detectLiveness-sessions",
    fields=_V1_3_FIELDS,
    attempts_allowed=1,
    created=_v1_3_session,
    result=_v1_3_session,
    has_settings=True,
)
VERSIONS = (_V1_1, _V1_2, _V1_3)
