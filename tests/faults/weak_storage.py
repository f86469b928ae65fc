"""A storage account that is too busy for a while: a proxy on loopback in front of Azurite."""

from collections.abc import Awaitable, Callable
from typing import Final, Self

from aiohttp import ClientSession, TCPConnector, web
from multidict import CIMultiDict
from yarl import URL

from tests.support.azurite import Azurite

_SERVICES: Final = ("queue", "table")
# What belongs to one connection, and not to the request or the answer on it.
_HOP_BY_HOP: Final = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
_ADDED_BY_AIOHTTP: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class WeakStorage:
    """Hands requests for queues and tables on, unless it was told to refuse them; `refused` counts those.

    A refusal is what a service over its scalability target answers, and changes nothing:
    https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes (ServerBusy).
    """

    def __init__(self, azurite: Azurite) -> None:
        self.refused = 0
        self._azurite = azurite
        self._left = 0
        self._runners: dict[str, web.ServerRunner] = {}

    async def __aenter__(self) -> Self:
        self._session = ClientSession(connector=TCPConnector(limit=0), auto_decompress=False)
        for service in _SERVICES:
            server = web.Server(self._answering(service), access_log=None)
            self._runners[service] = web.ServerRunner(server, shutdown_timeout=0.1)
            await self._runners[service].setup()
            await web.TCPSite(self._runners[service], "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for runner in self._runners.values():
            await runner.cleanup()
        await self._session.close()

    @property
    def connection_string(self) -> str:
        """The way through here."""
        text = self._azurite.connection_string
        for service, runner in self._runners.items():
            there = URL(self._azurite.endpoint(service))
            text = text.replace(str(there.origin()), str(there.with_port(runner.addresses[0][1]).origin()))
        return text

    def refuse(self, count: int) -> None:
        """Be too busy for so many requests."""
        self._left += count

    def _answering(self, service: str) -> Handler:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            body = await request.read()
            if self._left:
                self._left -= 1
                self.refused += 1
                return _too_busy()
            return await self._hand_on(service, request, body)

        return answer

    async def _hand_on(self, service: str, request: web.BaseRequest, body: bytes) -> web.Response:
        there = URL(self._azurite.endpoint(service)).origin()
        async with self._session.request(
            request.method,
            URL(f"{there}{request.raw_path}", encoded=True),
            headers=[
                (name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP
            ],
            data=body or None,
            skip_auto_headers=_ADDED_BY_AIOHTTP,
        ) as answer:
            headers = [
                (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
            ]
            return web.Response(status=answer.status, headers=CIMultiDict(headers), body=await answer.read())


def _too_busy() -> web.Response:
    error = {"code": "ServerBusy", "message": {"lang": "en-US", "value": "The server is busy."}}
    return web.json_response(
        {"odata.error": error}, status=503, headers={"Retry-After": "1", "x-ms-error-code": "ServerBusy"}
    )
