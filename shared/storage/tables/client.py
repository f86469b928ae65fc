"""The connection to the table service: one pool for the process, and short time-outs."""

import ssl
from typing import Any

from aiohttp import (
    ClientConnectionError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient

from shared.storage.azure_table import TableAccount
from shared.storage.store_time import StoreTime


def make_service(
    account: TableAccount | str, deadline: float, store_time: StoreTime, ssl_context: ssl.SSLContext | None
) -> TableServiceClient:
    """Make the client that all tables share: one connection pool and one token for all of them."""
    options: dict[str, Any] = {
        "transport": PooledTransport(store_time, ssl_context),
        # Writes are sent once (see `AzureTableStore`); what reads may do is said with each of them.
        "retry_total": 0,
        "permit_redirects": False,
        "connection_timeout": 0.45 * deadline,
        "read_timeout": 0.9 * deadline,
    }
    if isinstance(account, str):
        return TableServiceClient.from_connection_string(account, **options)
    return TableServiceClient(endpoint=account.endpoint, credential=account.credential, **options)


class PooledTransport(AioHttpTransport):  # type: ignore[misc] # The SDK loads the class lazily, as Any.
    """The SDK's transport over a session of our own: no proxy, no password is taken from the environment.

    A TLS context given to the connector keeps its connections; the SDK's own `connection_verify` builds a new
    context, and with it a new connection, for each request.
    """

    def __init__(self, store_time: StoreTime, ssl_context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._store_time = store_time
        self._ssl_context = ssl_context
        self._opened = False

    async def open(self) -> None:
        """Make the session with the first request: it belongs to the event loop that this runs in."""
        if not self._opened:
            self._opened = True
            self.session = self._make_session()
        await super().open()

    def _make_session(self) -> ClientSession:
        return ClientSession(
            connector=TCPConnector(ssl=self._ssl_context or True),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            middlewares=(self._learn_time, send_once),
        )

    async def _learn_time(self, request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        sent = self._store_time.local()
        response = await send(request)
        self._store_time.observe(sent, self._store_time.local(), response.headers.get("Date"))
        return response


async def send_once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from repeating a request by itself (an aiohttp client middleware).

    It repeats GET, PUT and DELETE when the connection breaks, which these two errors say. The first request may
    have been applied: the second would then meet its own change and look like a lost race.
    """
    try:
        return await send(request)
    except (ClientOSError, ServerDisconnectedError) as error:
        raise ClientConnectionError(str(error)) from error
