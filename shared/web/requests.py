"""Reading a request: bodies, header fields."""

import re
from typing import Any
from urllib.parse import urlsplit

import azure.functions as func

from shared.errors import InvalidMediaType, InvalidRequestBody, LengthRequired, RequestTooLarge
from shared.text import parse_json

MAX_BODY_BYTES = 4096

_JSON_MEDIA_TYPE = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)


def header(request: func.HttpRequest, name: str) -> str | None:
    """One header field, or None where it is absent; repeats arrive joined by commas."""
    value: str | None = request.headers.get(name)
    return value


def json_body(request: func.HttpRequest) -> dict[str, Any]:
    """Read the JSON object in the body; raises what the contract says of lengths, media types and JSON."""
    _require_length(request)
    media_type = header(request, "Content-Type") or ""
    if not _JSON_MEDIA_TYPE.fullmatch(media_type.strip()) or header(request, "Content-Encoding"):
        raise InvalidMediaType
    body = request.get_body() or b""
    if len(body) > MAX_BODY_BYTES:
        raise RequestTooLarge
    return parse_object(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Read one JSON object; raises `InvalidRequestBody`, whatever is in there."""
    try:
        parsed = parse_json(body)
    except ValueError as problem:
        raise InvalidRequestBody(f"not strict JSON: {type(problem).__name__}") from problem
    if not isinstance(parsed, dict):
        raise InvalidRequestBody("not an object")
    return parsed


def _require_length(request: func.HttpRequest) -> None:
    # The platform hands a chunked body over as an empty one, so without a length nobody knows what was sent.
    length = header(request, "Content-Length")
    if length is None or not re.fullmatch("[0-9]{1,9}", length):
        raise LengthRequired
    if int(length) > MAX_BODY_BYTES:
        raise RequestTooLarge


def origin(request: func.HttpRequest) -> str:
    """Scheme and host that the request was sent to, as the platform says."""
    url = urlsplit(request.url)
    return f"{url.scheme}://{url.netloc}"
