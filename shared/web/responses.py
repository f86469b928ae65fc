"""Rendering: replies and errors as responses of the contract."""

import json
import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import azure.functions as func

from shared.errors import BrokerError, Forbidden, MethodNotAllowed, RequestRefused, Throttled, Unauthorized
from shared.values import immutable
from shared.web.catalogue import ROW_OF

MAX_DETAILS = 20
"""How many faults of one request are listed: a body of 4 KiB can hold hundreds of unknown fields."""

_ALWAYS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # In full: the host does not add a charset.
    "Content-Type": "application/json; charset=utf-8",
}


@immutable
class Reply:
    """What a trigger answers; no body is sent where `body` is None."""

    status: int
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def render(reply: Reply, request_id: str, url: str, of_origin: Mapping[str, str]) -> func.HttpResponse:
    """Turn a reply to a request for a URL into the response, with the header fields that every response has.

    `of_origin` are the fields for the web page that sent the request.
    """
    headers = {**_ALWAYS, "x-ms-request-id": request_id, **of_origin, **reply.headers}
    if url.startswith("https:"):
        headers["Strict-Transport-Security"] = "max-age=31536000"
    content = b""
    if reply.body is not None:
        content = json.dumps(reply.body, separators=(",", ":")).encode()
        # Without a length, the host would answer in chunks.
        headers["Content-Length"] = str(len(content))
    return func.HttpResponse(content, status_code=reply.status, headers=headers)


def error_reply(error: BrokerError, request_id: str) -> Reply:
    """Turn an error into the reply that the caller gets."""
    fields: dict[str, Any] = {"code": error.code, "message": _message(error), "requestId": request_id}
    headers = {"x-ms-error-code": error.code}
    if isinstance(error, RequestRefused):
        fields |= _faults(error)
    if error.retry_after is not None:
        seconds = whole_seconds(error.retry_after)
        fields["retryAfterSeconds"] = seconds
        headers["Retry-After"] = str(seconds)
    if isinstance(error, Throttled):
        headers |= error.rate_limit
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, Unauthorized | Forbidden):
        headers["WWW-Authenticate"] = _challenge(error)
    return Reply(ROW_OF[type(error)].status, {"error": fields}, headers)


def whole_seconds(wait: float) -> int:
    """Round a wait up to whole seconds, at least one: a caller that waits so long is never too early."""
    return max(1, math.ceil(wait))


def _challenge(error: Unauthorized | Forbidden) -> str:
    """After RFC 6750, section 3: nothing about an error where the request had no token."""
    realm = 'Bearer realm="liveness"'
    if isinstance(error, Forbidden):
        return f'{realm}, error="insufficient_scope"'
    if error.problem is None:
        return realm
    return f'{realm}, error="invalid_token", error_description="{error.problem}"'


def _message(error: BrokerError) -> str:
    seconds = whole_seconds(error.retry_after or 0)
    return ROW_OF[type(error)].message.format(error=error, seconds=seconds)


def _faults(error: RequestRefused) -> dict[str, Any]:
    """The fields at fault: `target`, the first, and `details`, one entry each.

    After https://github.com/microsoft/api-guidelines/blob/vNext/azure/Guidelines.md#handling-errors
    """
    faults = (error, *error.others)[:MAX_DETAILS]
    if not any(fault.target for fault in faults):
        return {}
    details = [_of_field(fault, code=fault.code, message=fault.detail or _message(fault)) for fault in faults]
    return _of_field(error, details=details)


def _of_field(fault: RequestRefused, **members: object) -> dict[str, Any]:
    return {"target": fault.target, **members} if fault.target else members
