"""The trigger: parse the page, call the use-case, render."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import azure.functions as func

from audit_session.use_case import audit_session
from shared.errors import Forbidden, InvalidStart, InvalidTop, RequestRefused, refuse
from shared.face.model import AuditEntry, AuditPage
from shared.settings import Settings
from shared.text import rfc3339
from shared.web.endpoint import Context, respond
from shared.web.responses import Reply
from shared.web.routes import AUDIT_SESSION

# Ids are 64-bit integers: https://github.com/Azure/azure-rest-api-specs, Face, preview/v1.1-preview.1.
_LARGEST_ID = 2**63 - 1

# Where servers sign in, the trigger asks for their role. Where nobody signs in, the function key keeps phones out.
# The host asks for the level when it loads the app. It loads the app again when a setting changes.
_SIGNED_IN = Settings.from_environment().client_auth == "jwt"

audit_session_bp = func.Blueprint()


@audit_session_bp.function_name("audit_session")
@audit_session_bp.route(
    route=AUDIT_SESSION.path,
    methods=AUDIT_SESSION.methods,
    auth_level=func.AuthLevel.ANONYMOUS if _SIGNED_IN else func.AuthLevel.FUNCTION,
)
async def trigger(req: func.HttpRequest) -> func.HttpResponse:
    """Answer GET /api/sessions/{sessionId}/audit, for servers."""
    return await respond(req, "audit_session", _audit)


async def _audit(context: Context) -> Reply:
    if context.app.sign_in is not None and not context.caller.operator:
        raise Forbidden
    session_id = context.request.route_params.get("sessionId", "")
    page = _page(context.request.params)
    audit = await audit_session(context.app, session_id, page, context.caller, context.request_id)
    body = {
        "sessionId": audit.session_id,
        "source": audit.source,
        "entries": [_shown(entry) for entry in audit.entries],
    }
    return Reply(HTTPStatus.OK, body)


def _page(query: Mapping[str, str]) -> AuditPage:
    start, top = _number(query.get("start", "0")), _number(query.get("top", "1000"))
    faults: list[RequestRefused] = []
    if not 0 <= start <= _LARGEST_ID:
        faults.append(InvalidStart())
    if not 1 <= top <= 1000:
        faults.append(InvalidTop())
    if faults:
        refuse(faults)
    return AuditPage(start, top)


def _number(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,64}", text) else -1


def _shown(entry: AuditEntry) -> dict[str, Any]:
    failure = entry.failure
    return {
        "id": entry.id,
        "event": entry.event,
        "receivedDateTime": rfc3339(entry.at),
        "requestId": entry.request_id,
        "clientRequestId": entry.client_request_id,
        "request": {"method": entry.method, "url": entry.path},
        "response": {"statusCode": entry.status_code, "latencyInMilliseconds": entry.latency},
        "livenessDecision": entry.decision,
        "failure": {"code": failure.code, "message": failure.message} if failure else None,
        "digest": entry.digest,
        "digestMatches": entry.digest_matches,
        "decisions": entry.decisions,
        "abuseDetected": entry.abuse_detected,
        "flaggedSessions": entry.flagged_sessions,
        "clientInformation": [{"ip": address} for address in entry.client_addresses],
    }
