"""The trigger for all paths that no other function takes.

The host tries routes in the alphabetical order of the function names and the first match wins, so this one's name has
to be the last of them. It takes every method: the host itself never answers 405.
"""

from http import HTTPStatus

import azure.functions as func

from shared.errors import MethodNotAllowed, RouteNotFound
from shared.web.endpoint import Context, respond
from shared.web.origins import of_preflight
from shared.web.responses import Reply
from shared.web.routes import allowed_methods

unknown_route_bp = func.Blueprint()


@unknown_route_bp.function_name("unknown_route")
@unknown_route_bp.route(route="{*path}", auth_level=func.AuthLevel.ANONYMOUS)
async def trigger(req: func.HttpRequest) -> func.HttpResponse:
    """Answer requests to all other paths."""
    return await respond(req, "unknown_route", _answer, open_to_all=True)


async def _answer(context: Context) -> Reply:
    allowed = allowed_methods(context.request.route_params.get("path", ""))
    if not allowed:
        raise RouteNotFound
    if _is_preflight(context):
        return Reply(HTTPStatus.NO_CONTENT, headers=of_preflight(allowed))
    raise MethodNotAllowed(allowed)


def _is_preflight(context: Context) -> bool:
    """Whether a browser asks if a page of an allowed origin may send a request."""
    return (
        context.request.method == "OPTIONS"
        and context.header("Access-Control-Request-Method") is not None
        and context.header("Origin") in context.app.settings.allowed_origins
    )
