"""The HTTP transport of the table service: one connection pool for the process."""

from aiohttp import (
    ClientConnectionError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    DummyCookieJar,
    ServerDisconnectedError,
)
from azure.core.pipeline.transport import AioHttpTransport


class PooledTransport(AioHttpTransport):  # type: ignore[misc] # The SDK loads the class lazily, as Any.
    """The SDK's transport over our own session, which reads no proxy and no password from the environment."""

    _opened = False

    async def open(self) -> None:
        """Make the session on the first request, because it belongs to the running event loop."""
        if not self._opened:
            self._opened = True
            self.session = ClientSession(
                cookie_jar=DummyCookieJar(), auto_decompress=False, middlewares=(send_once,)
            )
        await super().open()


async def send_once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from repeating a request by itself (an aiohttp client middleware).

    aiohttp repeats GET, PUT and DELETE after these two errors. The service may have applied the first request:
    the second would meet its own change and look like a lost race.
    """
    try:
        return await send(request)
    except (ClientOSError, ServerDisconnectedError) as error:
        raise ClientConnectionError(str(error)) from error
