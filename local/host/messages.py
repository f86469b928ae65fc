"""Turns a request into the argument of a function, and the function's result into a response."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from aiohttp import HttpVersion11, web
from azure.functions import HttpResponse
from azure.functions.http import HttpRequest, HttpResponseConverter
from multidict import CIMultiDict

# Kestrel's defaults: MaxRequestHeadersTotalSize and MaxRequestHeaderCount.
_HEADERS_TOTAL_SIZE = 32 * 1024
_HEADER_COUNT = 100

_FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*")


class Refusal(Exception):
    """The host itself answers, with a status and an empty body."""

    def __init__(self, status: int, *, close: bool = False) -> None:
        super().__init__(status)
        self.status = status
        self.close = close


def bare(status: int, *, close: bool = False) -> web.Response:
    """Return a response without a body, as the host itself gives it."""
    response = web.Response(status=status, headers={"Server": "Kestrel"})
    if close:
        response.force_close()
    return response


def read_headers(request: web.BaseRequest) -> dict[str, str]:
    """Return the headers: names in lower case, repeats joined with a comma.

    Raises `Refusal`: 431 for too many or too long headers, 400 for a value that is not ASCII.
    """
    size = sum(len(name) + len(value) + len(": \r\n") for name, value in request.raw_headers)
    if size > _HEADERS_TOTAL_SIZE or len(request.raw_headers) > _HEADER_COUNT:
        raise Refusal(431, close=True)
    if not all(value.isascii() for _, value in request.raw_headers):
        raise Refusal(400, close=True)
    return _joined([(name.decode().lower(), value.decode()) for name, value in request.raw_headers])


def read_query(request: web.BaseRequest) -> dict[str, str]:
    """Return the query: repeats joined with a comma, parameters with an empty value dropped."""
    pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
    return {name: value for name, value in _joined(pairs).items() if value}


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """Return the body; it is empty without a Content-Length, as for chunks.

    Observed: the host answers a body that is too large with 500, not 413. Raises that as a `Refusal`.
    """
    length = request.content_length or 0
    if length > limit:
        raise Refusal(500, close=True)
    return await request.content.read() if length else b""


def to_function(
    request: web.BaseRequest,
    path: str,
    route_params: Mapping[str, str],
    headers: Mapping[str, str],
    query: Mapping[str, str],
    body: bytes,
) -> HttpRequest:
    """Return the request as the worker builds it; its URL is absolute, with the resolved path."""
    raw_query = request.rel_url.raw_query_string
    target = quote(path, safe="/%:@!$&'()*+,;=~") + (f"?{raw_query}" if raw_query else "")
    return HttpRequest(
        request.method,
        f"http://{headers.get('host', '')}{target}",
        headers=headers,
        params=query,
        route_params=route_params,
        body_type="bytes",
        body=body,
    )


def render(result: object, request: web.BaseRequest) -> web.Response:
    """Return the response for the result of a function.

    Raises `NotImplementedError` for anything but an `HttpResponse` or a str, and `ValueError` for a header value that
    is not printable ASCII. The host answers both with 500.
    """
    if isinstance(result, str):
        result = HttpResponse(result)
    # The worker's own converter: it sets the content type, and takes the cookies out of the headers.
    http = HttpResponseConverter.encode(result, expected_type=None).value
    headers, body = _response_headers(http), http["body"].value
    headers.setdefault("Server", "Kestrel")
    response = web.Response(status=int(http["status_code"].value), headers=headers, body=body)
    if "Content-Length" not in headers and request.version == HttpVersion11:
        response.enable_chunked_encoding()
    return response


def _response_headers(http: Mapping[str, Any]) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    # Observed: of a repeated name only the last value arrives, except for cookies.
    for name, value in http["headers"].items():
        headers[name] = value.value
    for cookie in http["cookies"] or ():
        for morsel in cookie.values():
            headers.add("Set-Cookie", morsel.OutputString())
    for name, value in headers.items():
        if not _FIELD_VALUE.fullmatch(value):
            raise ValueError(f"The response header {name} is not printable ASCII.")
    return headers
