"""The trigger for whatever no other function takes.

The host tries routes in the alphabetical order of the function names and the first match wins, so this one's name has
to be the last of them. It takes every method: the host itself never answers 405.
"""

import azure.functions as func

from shared.errors import MethodNotAllowed, RouteNotFound
from shared.web.endpoint import Context, respond
from shared.web.responses import Reply
from shared.web.routes import allowed_methods

unknown_route_bp = func.Blueprint()


@unknown_route_bp.function_name("unknown_route")
@unknown_route_bp.route(route="{*path}", auth_level=func.AuthLevel.ANONYMOUS)
async def trigger(req: func.HttpRequest) -> func.HttpResponse:
    """Answer what is left."""
    return await respond(req, "unknown_route", _refuse, open_to_all=True)


async def _refuse(context: Context) -> Reply:
    if allowed := allowed_methods(context.request.route_params.get("path", "")):
        raise MethodNotAllowed(allowed)
    raise RouteNotFound
