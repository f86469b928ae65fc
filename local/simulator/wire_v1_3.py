"""The wire format of Face v1.3-preview.1: v1.2 with a few fields more.

Source: Azure/azure-rest-api-specs, specification/ai/data-plane/Face/preview/v1.3-preview.1.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from local.simulator import errors
from local.simulator.create_request import Schema
from local.simulator.errors import Refused
from local.simulator.upstream import Attempt, NewSession, Session
from local.simulator.wire import Wire
from local.simulator.wire_v1_2 import FIELDS, MODES, V1_2, new_session, show, show_attempt

VERSION = "v1.3-preview.1"

_MORE_FIELDS: Mapping[str, type] = {
    "numberOfClientAttemptsAllowed": int,
    "userCorrelationId": str,
    "userCorrelationIdSetInClient": bool,
    "expectedClientIpAddress": str,
}


def _read(fields: Mapping[str, Any]) -> NewSession:
    allowed = fields.get("numberOfClientAttemptsAllowed", 1)
    if not 1 <= allowed <= 3:
        raise Refused(errors.INVALID_REQUEST_BODY)
    expected = fields.get("expectedClientIpAddress")
    return replace(new_session(VERSION, fields), attempts_allowed=allowed, expected_address=expected)


def _show(session: Session) -> dict[str, object]:
    attempts = [_show_attempt(session, attempt) for attempt in reversed(session.attempts)]
    shown = show(session) | {"isAbuseMonitoringEnabled": True, "results": {"attempts": attempts}}
    if session.order.expected_address is not None:
        shown["expectedClientIpAddress"] = session.order.expected_address
    return shown


def _show_attempt(session: Session, attempt: Attempt) -> dict[str, object]:
    shown = show_attempt(session, attempt) | {"clientInformation": [{"ip": attempt.call.address}]}
    if attempt.outcome.failure is None:
        shown["abuseMonitoringResult"] = {"isAbuseDetected": False, "otherFlaggedSessions": []}
    return shown


V1_3: Wire = replace(
    V1_2,
    root=f"/face/{VERSION}/detectLiveness-sessions",
    schema=Schema({**FIELDS, **_MORE_FIELDS}, MODES),
    read=_read,
    created=_show,
    result=lambda session, _now_ms: _show(session),
)
