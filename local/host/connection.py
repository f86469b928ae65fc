"""HTTP/1.1 connections: aiohttp's, changed to behave like those of Kestrel, the host's web server."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http_parser import HttpRequestParserPy
from aiohttp.web_protocol import RequestPayloadError

from local.host.messages import bare

# Far above what is accepted, so that a request with too many headers is parsed, and then refused with 431.
_PARSER_LIMIT = 1024 * 1024
_PARSER_HEADERS = 10_000


class KestrelServer(web.Server):
    """aiohttp's low-level server for the application of a runner, with the connections below."""

    def __init__(self, runner: web.AppRunner) -> None:
        if runner.server is None:
            raise RuntimeError("the runner is not set up")
        super().__init__(runner.server.request_handler, request_factory=runner.server.request_factory)

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return _Connection(self, asyncio.get_running_loop())


class _Connection(web.RequestHandler):
    # No new attributes: if aiohttp renames the one set below, this fails loudly.
    __slots__ = ()

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        # No access log: a request line may hold a key (`?code=`).
        options: dict[str, Any] = {"access_log": None, "lingering_time": 2.0}
        super().__init__(manager, loop=loop, **options)
        # aiohttp's compiled parser refuses unknown methods; the host takes any, and so does this parser.
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
