"""The trigger: parse, create, render."""

import json
from dataclasses import astuple
from http import HTTPStatus
from urllib.parse import urlsplit

import azure.functions as func

from create_session.use_case import CreateCommand, create_session
from shared.errors import InvalidIdempotencyKey, refuse
from shared.idempotency import parse_key
from shared.text import continued, rfc3339
from shared.web.endpoint import Context, json_body, respond
from shared.web.responses import Reply
from shared.web.routes import CREATE_SESSION

create_session_bp = func.Blueprint()

# Answered before the frame's deadline, which would cancel the create; a late create goes on behind its answer.
_MARGIN_SECONDS = 0.5


@create_session_bp.function_name("create_session")
@create_session_bp.route(
    route=CREATE_SESSION.path, methods=CREATE_SESSION.methods, auth_level=func.AuthLevel.ANONYMOUS
)
async def trigger(req: func.HttpRequest) -> func.HttpResponse:
    """Answer POST /api/sessions."""
    return await respond(req, "create_session", _create)


async def _create(context: Context) -> Reply:
    created = await create_session(context.app, _command(context), context.deadline - _MARGIN_SECONDS)
    # A session stays in its region, so the region's own URL comes before the one that was called.
    called = urlsplit(context.request.url)
    base_url = context.app.settings.base_url or f"{called.scheme}://{called.netloc}"
    body = {
        "sessionId": created.session_id,
        "authToken": created.auth_token,
        "expiresAt": rfc3339(created.expires_at),
        "resultUrl": f"{base_url}/api/sessions/{created.session_id}",
    }
    return Reply(HTTPStatus.OK, body, created.rate_limit)


def _command(context: Context) -> CreateCommand:
    """Read the request; raises all its faults as one error."""
    # Imported late, because the start of the app would wait for pydantic.
    from create_session.body import DEVICE_HEADER, missing_rights, read_body

    app, request = context.app, context.request
    device_header = request.headers.get(DEVICE_HEADER)
    body, faults = read_body(json_body(request), device_header, app.face, app.settings)
    key = request.headers.get("Idempotency-Key")
    if key is not None:
        try:
            key = parse_key(key)
        except InvalidIdempotencyKey as fault:
            faults.append(fault)
    # Missing rights are looked at only where the body is good. `refuse` never returns.
    if faults := faults or missing_rights(body, context.caller, app.settings):
        refuse(faults)
    spec = body.spec(app.settings.auth_token_ttl_max_seconds)
    device_id = body.device_id(device_header) or ""
    granted = context.caller.client_reference
    reference = granted or body.client_reference
    fingerprint = ""
    if key is not None:
        # The values, not the text of the body: one of two equal requests may leave a default out.
        values = [astuple(spec), device_id, reference, granted is not None, body.on_behalf_of]
        fingerprint = json.dumps(values)
    return CreateCommand(
        spec=spec,
        device_id=device_id,
        client_reference=reference,
        caller=context.caller,
        on_behalf_of=body.on_behalf_of,
        idempotency_key=key,
        fingerprint=fingerprint,
        request_id=context.request_id,
        traceparent=continued(request.headers.get("traceparent")),
    )
