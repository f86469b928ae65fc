"""One request to Face and its response: bounded, never redirected, with the broker's own errors."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
from cachetools import LRUCache

from shared.errors import KeyUnavailable, UpstreamError, UpstreamFailure, UpstreamTimeout
from shared.face.answers import UpstreamRequest, UpstreamResponse

LARGEST_BODY = 64 * 1024
"""Bytes on the wire; a real response has a few kilobytes."""

TIMEOUTS = {"connect": 1.5, "read": 8.0}
"""Seconds: to connect, and between two bytes."""

_URLS_REMEMBERED = 16

# The header values that h11 accepts. Its own error would contain the value, which is the key.
_FIELD_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")

# The first match counts. False: the request was certainly not sent. Everything else is ambiguous, also on a kept
# connection: Face may have closed it before or after reading the request.
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


_ALWAYS = {"User-Agent": "face-liveness-broker", "Accept": "application/json", "Accept-Encoding": "identity"}
_WITH_CONTENT = {**_ALWAYS, "Content-Type": "application/json"}


class Transport:
    """Sends requests to Face at one base URL, over an `HttpTransport` that bounds each response."""

    def __init__(self, http: httpx.AsyncBaseTransport, base_url: str) -> None:
        self._http = http
        # In the form of httpx, which omits the default port, because each URL is compared with it.
        self._base_url = str(httpx.URL(base_url)).removesuffix("/")
        # Parsing takes a twentieth of a create's CPU time, and the URL of creates is always the same.
        self._urls: LRUCache[str, httpx.URL] = LRUCache(_URLS_REMEMBERED)

    async def exchange(
        self, request: UpstreamRequest, headers: Mapping[str, str], *, within: float
    ) -> UpstreamResponse:
        """Send one request and read the response within so many seconds, whatever its status.

        Raises `UpstreamFailure` or `UpstreamTimeout`, with `request_sent` false only if that is certain, and
        `KeyUnavailable` if a header field cannot be sent.
        """
        if not all(map(_FIELD_VALUE.fullmatch, headers.values())):
            raise KeyUnavailable("the credential has characters that a header field cannot carry")
        with _translated_errors():
            outgoing = self._build(request, headers)
            async with asyncio.timeout(within):
                response = await self._http.handle_async_request(outgoing)
                try:
                    body = await _read_body(response)
                finally:
                    await response.aclose()
        return UpstreamResponse(
            response.status_code, dict(response.headers), body or b"", unread=body is None
        )

    def _build(self, request: UpstreamRequest, headers: Mapping[str, str]) -> httpx.Request:
        content = None if request.json is None else json.dumps(request.json).encode()
        return httpx.Request(
            request.method,
            self._url(request.path),
            content=content,
            headers={**(_ALWAYS if content is None else _WITH_CONTENT), **headers},
            extensions={"timeout": TIMEOUTS},
        )

    def _url(self, path: str) -> httpx.URL:
        if known := self._urls.get(path):
            return known
        url = httpx.URL(self._base_url + path)
        # httpx resolves `..` and drops fragments. Only the intended URL may get a request with our key.
        if str(url) != self._base_url + path or url.raw_path != path.encode():
            raise UpstreamFailure("the URL is not the one that was meant", request_sent=False)
        self._urls[path] = url
        return url


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except tuple(row[0] for row in _SEAM) as error:
        kind, sent = next((ours, sent) for theirs, ours, sent in _SEAM if isinstance(error, theirs))
        raise kind(f"no answer: {type(error).__name__}", request_sent=sent) from error


async def _read_body(response: httpx.Response) -> bytes | None:
    """Return the body, or None if it is compressed or too large: the status of an error says enough without it."""
    try:
        return b"".join([part async for part in response.aiter_raw()])
    except httpx.DecodingError:
        return None
