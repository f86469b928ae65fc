"""Reading the JSON body of a request."""

import re
from typing import Any

import azure.functions as func

from shared.errors import InvalidMediaType, InvalidRequestBody, LengthRequired, RequestTooLarge
from shared.text import parse_json

MAX_BODY_BYTES = 4096

_LENGTH = re.compile("[0-9]{1,9}")
_JSON_MEDIA_TYPE = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)


def json_body(request: func.HttpRequest) -> dict[str, Any]:
    """Read the JSON object in the body.

    Raises `LengthRequired`, `RequestTooLarge`, `InvalidMediaType` or `InvalidRequestBody`.
    """
    # The platform delivers a chunked body as an empty one. Without a length, nobody can tell what was sent.
    length = request.headers.get("Content-Length")
    if length is None or not _LENGTH.fullmatch(length):
        raise LengthRequired
    body = request.get_body() or b""
    if max(int(length), len(body)) > MAX_BODY_BYTES:
        raise RequestTooLarge
    media_type = request.headers.get("Content-Type", "").strip()
    if not _JSON_MEDIA_TYPE.fullmatch(media_type) or request.headers.get("Content-Encoding"):
        raise InvalidMediaType
    try:
        parsed = parse_json(body)
    except ValueError as fault:
        raise InvalidRequestBody(f"not strict JSON: {type(fault).__name__}") from fault
    if not isinstance(parsed, dict):
        raise InvalidRequestBody("not an object")
    return parsed
