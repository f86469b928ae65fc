"""The wire format of Face v1.1-preview.1.

Sources: the page of the create operation; Azure/azure-rest-api-specs,
specification/ai/data-plane/Face/preview/v1.1-preview.1, whose examples show the fields. That a failed attempt
is an entry with a 400 and an error body is inferred from `LivenessResponseBody`, which is open "for accepting
failure response".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from local.simulator import errors
from local.simulator.create_request import COMMON_FIELDS, Schema
from local.simulator.messages import Answer
from local.simulator.upstream import Attempt, NewSession, Session
from local.simulator.wire import FACE_RECTANGLE, Listing, Wire

VERSION = "v1.1-preview.1"


def _read(fields: Mapping[str, Any]) -> NewSession:
    return NewSession(
        api_version=VERSION,
        device_id=fields.get("deviceCorrelationId"),
        device_id_set_in_client=fields.get("deviceCorrelationIdSetInClient", False),
        lifetime_s=fields.get("authTokenTimeToLiveInSeconds", 600),
        send_results=fields.get("sendResultsToClient", False),
    )


def _created(session: Session) -> dict[str, object]:
    return {"sessionId": session.session_id, "authToken": session.auth_token}


def _result(session: Session, now_ms: int) -> dict[str, object]:
    shown = _item(session, now_ms) | {"status": session.status}
    if session.attempts:
        shown["result"] = _entry(session, session.attempts[-1])
    return shown


def _item(session: Session, now_ms: int) -> dict[str, object]:
    shown: dict[str, object] = {
        "id": session.session_id,
        "createdDateTime": _date_time(session.created_ms),
        "sessionExpired": session.token_expired(now_ms),
        "authTokenTimeToLiveInSeconds": session.order.lifetime_s,
    }
    if session.started_ms is not None:
        shown["sessionStartDateTime"] = _date_time(session.started_ms)
    if session.device_id is not None:
        shown["deviceCorrelationId"] = session.device_id
    return shown


def _entry(session: Session, attempt: Attempt) -> dict[str, object]:
    return {
        "id": attempt.entry_id,
        "sessionId": session.session_id,
        "requestId": attempt.call.request_id,
        "clientRequestId": attempt.call.client_request_id,
        "receivedDateTime": _date_time(attempt.call.received_ms),
        "request": {
            "url": "/face/v1.1-preview.1/detectliveness/singlemodal",
            "method": "POST",
            "contentLength": 247110,
            "contentType": "multipart/form-data",
            "userAgent": attempt.call.user_agent,
        },
        "response": _response(attempt),
        "digest": attempt.digest,
    }


def _response(attempt: Attempt) -> dict[str, object]:
    failure = attempt.outcome.failure
    if failure is not None:
        error = {"error": {"code": failure.code, "message": failure.message}}
        return {"body": error, "statusCode": 400, "latencyInMilliseconds": 1200}
    body = {
        "livenessDecision": attempt.outcome.decision,
        "target": {
            "faceRectangle": FACE_RECTANGLE,
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


V1_1 = Wire(
    root=f"/face/{VERSION}/detectLiveness/singleModal/sessions",
    schema=Schema(fields={**COMMON_FIELDS, "sendResultsToClient": bool}, modes=frozenset({"Passive"})),
    read=_read,
    created=_created,
    result=_result,
    deleted=Answer(200),
    unauthorized=errors.UNAUTHORIZED_UNSPECIFIED,
    listing=Listing(item=_item, entry=_entry),
)
