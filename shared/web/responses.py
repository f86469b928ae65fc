"""Rendering: replies and errors as responses of the contract."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import azure.functions as func

from shared.errors import BrokerError, MethodNotAllowed, Throttled
from shared.web.catalogue import ROW_OF, whole_seconds

_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a trigger answers; no body is sent where `body` is None."""

    status: HTTPStatus
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def render(reply: Reply, request_id: str) -> func.HttpResponse:
    """Turn a reply into the response, with the header fields that every response has."""
    content = b"" if reply.body is None else json.dumps(reply.body, separators=(",", ":")).encode()
    # Content-Type is given in full: the host does not add a charset. Content-Length spares a chunked answer.
    headers = {
        **_ALWAYS,
        "x-ms-request-id": request_id,
        "Content-Type": "application/json; charset=utf-8",
        **reply.headers,
    }
    if reply.body is not None:
        headers["Content-Length"] = str(len(content))
    return func.HttpResponse(content, status_code=reply.status, headers=headers)


def error_reply(error: BrokerError, request_id: str) -> Reply:
    """The one place where a failure is turned into what the caller sees."""
    row = ROW_OF[type(error)]
    fields: dict[str, Any] = {}
    headers: dict[str, str] = {}
    wait = error.retry_after
    if wait is not None:
        headers["Retry-After"] = str(whole_seconds(wait))
    if isinstance(error, Throttled):
        fields["retryAfterSeconds"] = whole_seconds(error.retry_after)
        headers |= error.rate_limit
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    body = {"error": {"code": row.code, "message": row.render(error), "requestId": request_id, **fields}}
    return Reply(row.status, body, {"x-ms-error-code": row.code, **headers})
