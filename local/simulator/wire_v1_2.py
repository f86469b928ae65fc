"""The wire format of Face v1.2, which is generally available.

Source: Azure/azure-rest-api-specs, specification/ai/data-plane/Face/stable/v1.2. When the status becomes
`Failed` is not documented: here it follows the latest attempt.
"""

from collections.abc import Mapping
from typing import Any

from local.simulator import errors
from local.simulator.create_request import COMMON_FIELDS, Schema
from local.simulator.messages import Answer
from local.simulator.upstream import Attempt, NewSession, Session
from local.simulator.wire import FACE_RECTANGLE, Wire

VERSION = "v1.2"
LATEST_MODEL = "2024-11-15"

FIELDS: Mapping[str, type] = {**COMMON_FIELDS, "enableSessionImage": bool, "livenessModelVersion": str}
MODES = frozenset({"Passive", "PassiveActive"})


def new_session(version: str, fields: Mapping[str, Any]) -> NewSession:
    """Read the fields of a create request, as `version` of the API."""
    return NewSession(
        api_version=version,
        device_id=fields.get("deviceCorrelationId"),
        device_id_set_in_client=fields.get("deviceCorrelationIdSetInClient", False),
        lifetime_s=fields.get("authTokenTimeToLiveInSeconds", 600),
        session_image=fields.get("enableSessionImage", False),
        model_version=fields.get("livenessModelVersion"),
    )


def show(session: Session) -> dict[str, object]:
    """Show the whole session. The auth token is part of it, whoever reads it and whenever."""
    return {
        "sessionId": session.session_id,
        "authToken": session.auth_token,
        "status": _status(session),
        "modelVersion": session.order.model_version or LATEST_MODEL,
        "results": {"attempts": [show_attempt(session, attempt) for attempt in reversed(session.attempts)]},
    }


def show_attempt(session: Session, attempt: Attempt) -> dict[str, object]:
    """Show one attempt: with a result, or with an error."""
    targets = {"color": {"faceRectangle": FACE_RECTANGLE}}
    shown: dict[str, object] = {"attemptId": attempt.attempt_id, "attemptStatus": _attempt_status(attempt)}
    failure = attempt.outcome.failure
    if failure is not None:
        return shown | {"error": {"code": failure.code, "message": failure.message, "targets": targets}}
    result = {"livenessDecision": attempt.outcome.decision, "targets": targets, "digest": attempt.digest}
    if session.order.session_image:
        result["sessionImageId"] = attempt.call.request_id.replace("-", "")
    return shown | {"result": result}


def _status(session: Session) -> str:
    if session.canceled:
        return "Canceled"
    if session.attempts:
        return _attempt_status(session.attempts[-1])
    return "NotStarted" if session.started_ms is None else "Running"


def _attempt_status(attempt: Attempt) -> str:
    return "Succeeded" if attempt.outcome.failure is None else "Failed"


V1_2 = Wire(
    root=f"/face/{VERSION}/detectLiveness-sessions",
    schema=Schema(FIELDS, MODES),
    read=lambda fields: new_session(VERSION, fields),
    created=show,
    result=lambda session, _now_ms: show(session),
    deleted=Answer(204),
    unauthorized=errors.UNAUTHORIZED_401,
)
