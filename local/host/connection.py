"""HTTP/1.1 connections: aiohttp's, changed to behave like those of Kestrel, the host's web server."""

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.http_parser import HttpRequestParserPy
from aiohttp.web_protocol import RequestPayloadError

from local.host.messages import bare

_OPTIONS: Final[dict[str, Any]] = {
    # Far above what is accepted, so that a request with too many headers is parsed, and then refused with 431.
    "max_line_size": 1024 * 1024,
    "max_field_size": 1024 * 1024,
    "max_headers": 10_000,
    "auto_decompress": False,
}
# The methods that phones, pages and servers send.
_COMMON: Final = (b"GET", b"POST", b"DELETE", b"OPTIONS", b"HEAD", b"PUT", b"PATCH")


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
    # If aiohttp renames an attribute that is set below, this fails loudly.
    __slots__ = ("_begun",)

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        # No access log: a request line may hold a key (`?code=`).
        without_log: dict[str, Any] = {"access_log": None}
        super().__init__(manager, loop=loop, lingering_time=2.0, **without_log, **_OPTIONS)
        self._begun = False

    def data_received(self, data: bytes) -> None:
        """Read with aiohttp's compiled parser where the connection begins with a common method.

        That one refuses unknown methods. The host takes any, and so does the parser in Python.
        """
        if not self._begun and data.partition(b" ")[0] not in _COMMON:
            self._parser = HttpRequestParserPy(
                self, self._loop, payload_exception=RequestPayloadError, **_OPTIONS
            )
        self._begun = True
        super().data_received(data)

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
