"""The trigger: parse, create, render."""

import json
from dataclasses import astuple
from http import HTTPStatus

import azure.functions as func

from create_session.body import device_id_of, parse_body, spec_of
from create_session.use_case import CreateCommand, create_session
from shared.idempotency import parse_key
from shared.text import continued, rfc3339
from shared.web.callers import caller_of
from shared.web.endpoint import Call, respond
from shared.web.requests import header, json_body, origin
from shared.web.responses import Reply
from shared.web.routes import CREATE_SESSION

create_session_bp = func.Blueprint()


@create_session_bp.function_name("create_session")
@create_session_bp.route(
    route=CREATE_SESSION.path, methods=[CREATE_SESSION.method], auth_level=func.AuthLevel.ANONYMOUS
)
async def trigger(req: func.HttpRequest) -> func.HttpResponse:
    """Answer POST /api/sessions."""
    return await respond(req, "create_session", _create)


async def _create(call: Call) -> Reply:
    created = await create_session(call.app, _command(call))
    body = {
        "sessionId": created.session_id,
        "authToken": created.auth_token,
        "expiresAt": rfc3339(created.expires_at),
        "resultUrl": f"{_base_url(call)}/api/sessions/{created.session_id}",
    }
    return Reply(HTTPStatus.OK, body, created.rate_limit)


def _command(call: Call) -> CreateCommand:
    settings = call.app.settings
    body = parse_body(json_body(call.request))
    spec = spec_of(
        body,
        call.app.face,
        settings.auth_token_ttl_max_seconds,
        hides_decisions=settings.result_visibility == "status",
    )
    device_id = device_id_of(body, header(call.request, "X-Device-Correlation-Id"))
    key = header(call.request, "Idempotency-Key")
    return CreateCommand(
        spec=spec,
        device_id=device_id,
        client_reference=body.client_reference,
        caller=caller_of(call),
        idempotency_key=parse_key(key) if key is not None else None,
        # Of what is asked for, not of how it is written: a default may be left out in one of two requests.
        fingerprint=json.dumps([astuple(spec), device_id, body.client_reference]) if key is not None else "",
        request_id=call.request_id,
        traceparent=continued(header(call.request, "traceparent")),
    )


def _base_url(call: Call) -> str:
    # A session stays in the region that made it, so the region's own name comes before the one that was called.
    return call.app.settings.base_url or origin(call.request)
