"""The trigger: parse, call the use-case, answer."""

from http import HTTPStatus

import azure.functions as func

from shared.web.endpoint import Context, respond
from shared.web.responses import Reply
from shared.web.routes import REVOKE_SESSION

revoke_session_bp = func.Blueprint()


@revoke_session_bp.function_name("revoke_session")
@revoke_session_bp.route(
    route=REVOKE_SESSION.path, methods=REVOKE_SESSION.methods, auth_level=func.AuthLevel.ANONYMOUS
)
async def trigger(req: func.HttpRequest) -> func.HttpResponse:
    """Answer DELETE /api/sessions/{sessionId}."""
    return await respond(req, "revoke_session", _revoke)


async def _revoke(context: Context) -> Reply:
    # Imported late, because the first create of an instance would wait for it.
    from revoke_session.use_case import revoke_session

    await revoke_session(
        context.app,
        context.request.route_params.get("sessionId", ""),
        context.header("X-Session-Token"),
        context.caller,
        context.request_id,
    )
    return Reply(HTTPStatus.NO_CONTENT)
