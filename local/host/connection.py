"""The HTTP/1.1 connection: aiohttp's, where it has to behave like Kestrel."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http_parser import HttpRequestParserPy
from aiohttp.web_protocol import RequestPayloadError

from local.host.messages import bare

__all__ = ["KestrelServer"]

# Far above what is accepted, so that the front gets to see what it has to refuse with 431.
_PARSER_LIMIT = 1024 * 1024
_PARSER_HEADERS = 10_000

_OPTIONS: dict[str, Any] = {
    # A request line may hold a key (`?code=`).
    "access_log": None,
    # How many seconds an unread request body is still taken in after the answer.
    "lingering_time": 2.0,
}


class KestrelServer(web.Server):
    """aiohttp's low-level server with the connections below."""

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return _Connection(self, asyncio.get_running_loop())


class _Connection(web.RequestHandler):
    # No attribute can be added: should aiohttp rename the one set below, it fails here and not in silence.
    __slots__ = ()

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(manager, loop=loop, **_OPTIONS)
        # aiohttp's compiled parser refuses methods that it does not know; the host takes any, like this one.
        self._parser = HttpRequestParserPy(
            self,
            loop,
            max_line_size=_PARSER_LIMIT,
            max_field_size=_PARSER_LIMIT,
            max_headers=_PARSER_HEADERS,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Log as aiohttp does, and answer as Kestrel does."""
        super().handle_error(request, status, exc, message)
        return bare(status, close=True)
