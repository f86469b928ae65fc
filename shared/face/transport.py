"""One request to Face and its answer: bounded, never redirected, and with errors that are ours."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from shared.errors import KeyUnavailable, UpstreamError, UpstreamFailure, UpstreamTimeout
from shared.face.wire import UpstreamRequest, UpstreamResponse

LARGEST_BODY = 64 * 1024
"""Bytes as they come over the wire; a real answer has a few kilobytes."""

# What h11 takes as the value of a header field. Its refusal would hold the value, which is the key.
_FIELD_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")

# First match counts. `False`: the request provably never left. Everything after that is ambiguous, also on a
# connection that was kept alive: nobody can tell whether Face closed it before or after reading the request.
_SEAM: tuple[tuple[type[Exception], type[UpstreamError], bool], ...] = (
    (httpx.ConnectTimeout, UpstreamTimeout, False),
    (httpx.PoolTimeout, UpstreamTimeout, False),
    (httpx.ConnectError, UpstreamFailure, False),
    (httpx.UnsupportedProtocol, UpstreamFailure, False),
    (httpx.InvalidURL, UpstreamFailure, False),
    (httpx.TimeoutException, UpstreamTimeout, True),
    (TimeoutError, UpstreamTimeout, True),
    (httpx.HTTPError, UpstreamFailure, True),
)


_ALWAYS = {
    "User-Agent": "face-liveness-broker",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}
_WITH_CONTENT = {**_ALWAYS, "Content-Type": "application/json"}


async def exchange(
    http: httpx.AsyncClient,
    base_url: str,
    request: UpstreamRequest,
    headers: Mapping[str, str],
    *,
    within: float,
) -> UpstreamResponse:
    """Send one request and read the answer within so many seconds, whatever its status is.

    Raises `UpstreamFailure` or `UpstreamTimeout`, with `request_sent` false only where that is certain, and
    `KeyUnavailable` for header fields that cannot be sent.
    """
    if not all(map(_FIELD_VALUE.fullmatch, headers.values())):
        raise KeyUnavailable("the credential has characters that a header field cannot carry")
    with _errors_made_ours():
        outgoing = _build(http, base_url, request, headers)
        async with asyncio.timeout(within):
            response = await http.send(outgoing, stream=True, follow_redirects=False)
            try:
                body = await _read_body(response)
            finally:
                await response.aclose()
    return UpstreamResponse(response.status_code, dict(response.headers), body)


def _build(
    http: httpx.AsyncClient, base_url: str, request: UpstreamRequest, headers: Mapping[str, str]
) -> httpx.Request:
    # Not by `http.build_request`, which merges what the client was made with, at a tenth of a create's CPU time.
    content = None if request.json is None else json.dumps(request.json).encode()
    outgoing = httpx.Request(
        request.method,
        base_url + request.path,
        content=content,
        headers={**(_ALWAYS if content is None else _WITH_CONTENT), **headers},
        extensions={"timeout": http.timeout.as_dict()},
    )
    # httpx resolves `..` and drops fragments: only what was meant may leave, with our key.
    if str(outgoing.url) != base_url + request.path or outgoing.url.raw_path != request.path.encode():
        raise UpstreamFailure("the URL is not the one that was meant", request_sent=False)
    return outgoing


@contextmanager
def _errors_made_ours() -> Iterator[None]:
    try:
        yield
    except tuple(row[0] for row in _SEAM) as error:
        kind, sent = next((ours, sent) for theirs, ours, sent in _SEAM if isinstance(error, theirs))
        raise kind(f"no answer: {type(error).__name__}", request_sent=sent) from error


async def _read_body(response: httpx.Response) -> bytes:
    # A refused body counts as empty: for an error the status says enough, and a success is not read without one.
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        return b""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_BODY:
            return b""
    return bytes(body)
