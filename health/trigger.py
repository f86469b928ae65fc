"""The triggers: call the use-case, render."""

import json
from http import HTTPStatus
from pathlib import Path

import azure.functions as func

from health.use_case import check_dependencies
from shared.release import RELEASE
from shared.web.endpoint import Context, respond
from shared.web.responses import Reply
from shared.web.routes import HEALTH, OPENAPI, READY

health_bp = func.Blueprint()


@health_bp.function_name("health")
@health_bp.route(route=HEALTH.path, methods=HEALTH.methods, auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Answer GET /api/health: the app was loaded with valid settings. No dependency is called."""
    return await respond(req, "health", _health, open_to_all=True, quiet=True)


@health_bp.function_name("ready")
@health_bp.route(route=READY.path, methods=READY.methods, auth_level=func.AuthLevel.FUNCTION)
async def ready(req: func.HttpRequest) -> func.HttpResponse:
    """Answer GET /api/ready, for operators: each dependency and its state."""
    return await respond(req, "ready", _ready, open_to_all=True)


@health_bp.function_name("openapi")
@health_bp.route(route=OPENAPI.path, methods=OPENAPI.methods, auth_level=func.AuthLevel.ANONYMOUS)
async def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """Answer GET /api/openapi.json: the description of all operations."""
    return await respond(req, "openapi", _openapi, open_to_all=True, quiet=True)


async def _health(context: Context) -> Reply:
    return Reply(HTTPStatus.OK, {"status": "healthy", "version": RELEASE.version, "commit": RELEASE.commit})


async def _openapi(context: Context) -> Reply:
    # `make reference` makes it from the code.
    document = json.loads(Path(__file__).with_name("openapi.json").read_text("utf-8"))
    if base_url := context.app.settings.public_base_url:
        document["servers"] = [{"url": f"{base_url}/api"}]
    return Reply(HTTPStatus.OK, document)


async def _ready(context: Context) -> Reply:
    dependencies = await check_dependencies(context.app, context.request_id)
    is_ready = all(dependency.problem is None for dependency in dependencies)
    body = {
        "status": "ready" if is_ready else "notReady",
        "faceApiVersion": context.app.face.api_version,
        "dependencies": [
            {
                "name": dependency.name,
                "state": "available" if dependency.problem is None else "unavailable",
                "problem": dependency.problem,
            }
            for dependency in dependencies
        ],
    }
    return Reply(HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE, body)
