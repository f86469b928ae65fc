"""The HTTP connections to everything that the app calls: Azure Face, issuers, and by the SDKs Azure's other services.

They are those of aiohttp, which the SDKs of Azure use as well.
"""

import asyncio
import ssl
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from shared.http_port import HttpAnswer, NoAnswer
from shared.resolver import Resolver

IN_FLIGHT: Final = 64
"""How many requests one dependency has under way at most; others wait, so that one that hangs takes no memory."""

GATE_SECONDS: Final = 1.0
"""How long a request waits for a place among those."""

IDLE_SECONDS: Final = 4.0
"""The shortest time that servers commonly keep an idle connection is 5 s. This side closes before that: a create that
meets a connection which Face is closing is lost, because it must not be repeated."""

CONNECT_SECONDS: Final = 1.5
"""How long a connection may take to be made. The time of the whole request is its caller's to bound."""

NEVER_LEFT: Final = (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.InvalidURL)
"""The errors of requests that certainly never left. Nothing ambiguous may be one of them."""


class AnswerRefused(aiohttp.ClientPayloadError):
    """The answer has more bytes than its reader takes, or a coding that was ruled out."""


class ConnectionBroken(aiohttp.ClientConnectionError):
    """The connection ended before the answer was complete; the request may have been applied."""


class Connections:
    """One pool of connections with its own resolver; it belongs to the event loop of its first request.

    No redirects, no cookies, nothing from the environment, and no request is ever sent twice.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None, resolver: Resolver | None = None) -> None:
        self._ssl_context = ssl_context
        self._resolver = resolver
        self._connector: aiohttp.TCPConnector | None = None
        self._sessions: list[aiohttp.ClientSession] = []

    def transport(self, *, largest_answer: int) -> "HttpTransport":
        """Make the transport to one dependency; an answer has at most `largest_answer` bytes."""
        return HttpTransport(self, largest_answer)

    def open_session(self, largest_answer: int) -> aiohttp.ClientSession:
        """Make a session over the pool whose answers are bounded."""
        if self._connector is None:
            self._connector = _Connector(
                ssl=self._ssl_context or True,
                # Each dependency has its own gate, so nobody queues in here.
                limit=0,
                keepalive_timeout=IDLE_SECONDS,
                resolver=self._resolver or Resolver(),
                use_dns_cache=False,
            )
        session = aiohttp.ClientSession(
            connector=self._connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS),
            headers={"Accept-Encoding": "identity"},
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
            response_class=type("BoundedAnswer", (_BoundedAnswer,), {"largest": largest_answer}),
            middlewares=(_send_once,),
        )
        self._sessions.append(session)
        return session

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions:
            await session.close()
        if self._connector is not None:
            await self._connector.close()


class HttpTransport:
    """Sends requests to one dependency; implements `Http`."""

    def __init__(self, connections: Connections, largest_answer: int) -> None:
        self._connections = connections
        self._largest_answer = largest_answer
        self._session: aiohttp.ClientSession | None = None
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpAnswer:
        """Send a request and read its answer to the end, however long that takes; raises `NoAnswer`."""
        if self._session is None:
            self._session = self._connections.open_session(self._largest_answer)
        try:
            await enter(self._gate)
        except TimeoutError as error:
            raise NoAnswer("too many requests are under way", sent=False, timed_out=True) from error
        try:
            answer = await self._session.request(
                method, URL(url, encoded=True), headers=headers, data=content, allow_redirects=False
            )
            try:
                return HttpAnswer(answer.status, answer.headers, await answer.read())
            except AnswerRefused:
                return HttpAnswer(answer.status, answer.headers, b"", unread=True)
        # A `ValueError` is about a URL, or a header field that HTTP does not allow.
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise NoAnswer(
                # Without the error itself: its text or its repr can hold the value of a header field.
                type(error).__name__,
                sent=not isinstance(error, NEVER_LEFT),
                timed_out=isinstance(error, TimeoutError),
            ) from None
        finally:
            self._gate.release()


async def enter(gate: asyncio.Semaphore) -> None:
    """Take a place among the requests under way; raises `TimeoutError` where none gets free in `GATE_SECONDS`."""
    if not gate.locked():
        # At once, and without a timer.
        await gate.acquire()
        return
    async with asyncio.timeout(GATE_SECONDS):
        await gate.acquire()


class _Connector(aiohttp.TCPConnector):
    """Never gives out a connection on which an answer came that nobody asked for: the next caller would get it."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of aiohttp.
        super().__init__(**options)
        protocol: type[ResponseHandler] = _Protocol
        self._factory = partial(protocol, loop=self._loop)

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        # aiohttp looks at what has arrived when a connection is given back, and not when it is used again.
        while connection := await super()._get(key, traces):
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        return None


class _Protocol(ResponseHandler):
    """Tells the reader of a body that a chunk is malformed.

    aiohttp closes the connection then, and tells a reader of the head alone. A reader of the body would wait forever.
    """

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        body = self._payload
        if self.exception() is not None and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError("the rest of the answer is malformed"))


class _BoundedAnswer(aiohttp.ClientResponse):
    """An answer that is read up to a number of bytes; what is larger or encoded closes the connection."""

    largest = 0

    async def read(self) -> bytes:
        """Read the whole body; raises `AnswerRefused`."""
        parts, taken = [], 0
        try:
            codings = self._codings("Content-Encoding") - {"identity"}
            if codings or self._codings("Transfer-Encoding") - {"chunked"}:
                raise AnswerRefused("a coding that was ruled out")
            while part := await self.content.readany():
                parts.append(part)
                taken += len(part)
                if taken > self.largest:
                    raise AnswerRefused("too many bytes")
        except BaseException:
            # A caller that gives up in the middle leaves a connection that nobody else can use.
            self.close()
            raise
        return b"".join(parts)

    def _codings(self, name: str) -> set[str]:
        """The codings that all header fields of a name list."""
        listed = ",".join(self.headers.getall(name, ())).lower().split(",")
        return {coding.strip() for coding in listed} - {""}


async def _send_once(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a request by itself (an aiohttp client middleware).

    It repeats GET, PUT and DELETE on ClientOSError and ServerDisconnectedError. The first request may have been
    applied: the second would then meet its own change and look like a lost race.
    """
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionBroken(str(error)) from error
