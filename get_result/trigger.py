"""The trigger: parse, call the use-case, render."""

from http import HTTPStatus
from typing import Any

import azure.functions as func

from get_result.use_case import ResultQuery, ResultState, get_result
from shared.text import rfc3339
from shared.web.endpoint import Context, respond
from shared.web.responses import Reply, whole_seconds
from shared.web.routes import GET_RESULT

get_result_bp = func.Blueprint()


@get_result_bp.function_name("get_result")
@get_result_bp.route(route=GET_RESULT.path, methods=GET_RESULT.methods, auth_level=func.AuthLevel.ANONYMOUS)
async def trigger(req: func.HttpRequest) -> func.HttpResponse:
    """Answer GET /api/sessions/{sessionId}."""
    return await respond(req, "get_result", _get)


async def _get(context: Context) -> Reply:
    query = ResultQuery(
        session_id=context.request.route_params.get("sessionId", ""),
        auth_token=context.header("X-Session-Token"),
        caller=context.caller,
        request_id=context.request_id,
        digest=_digest(context),
    )
    state = await get_result(context.app, query)
    body = _body(context, state)
    if state.retry_after_ms is None:
        return Reply(HTTPStatus.OK, body)
    seconds = whole_seconds(state.retry_after_ms / 1000)
    return Reply(HTTPStatus.OK, body | {"retryAfterSeconds": seconds}, {"Retry-After": str(seconds)})


def _digest(context: Context) -> str | None:
    """The digest of the phone's SDK; an empty header counts as absent."""
    return context.header("X-Client-Digest") or None


def _body(context: Context, state: ResultState) -> dict[str, Any]:
    record = state.record
    shown: dict[str, Any] = {
        "sessionId": record.session_id,
        "status": record.status,
        "createdDateTime": rfc3339(record.created_at),
        "expiresAt": rfc3339(record.token_expires_at),
    }
    without_digest = record.digest_required and record.decision is not None and _digest(context) is None
    hidden = without_digest or context.app.settings.result_visibility == "status"
    if record.awaits_digest or (hidden and not context.caller.operator):
        return shown
    failure = record.failure
    return shown | {
        "livenessDecision": record.decision,
        "passed": record.passed,
        "digestMatches": record.digest_matches,
        "abuseDetected": record.abuse_detected,
        "attempts": record.attempts,
        "failure": {"code": failure.code, "message": failure.message} if failure else None,
    }
