"""Dependencies under names of Azure, on loopback: each passes requests on to its real part, or has a fault."""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp.connector
import pytest
import trustme

from tests.faults.matrix.faults import Exchange, Fault, Place, json_error

Address = tuple[str, int]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]

SUFFIXES: Final = (
    "cognitiveservices.azure.com",
    "vault.azure.net",
    "westeurope-1.eventgrid.azure.net",
    # The SDK takes Azurite's account from the path only under names that are not of Azure.
    "storage.internal",
    # Issuers of callers' tokens.
    "sign-in.internal",
)


@dataclass
class Network:
    """The names of the dependencies, and the authority of their certificates."""

    names: dict[Address, Address] = field(default_factory=dict)
    authority: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.certificate = _certificate(self.authority)
        self.untrusted = _certificate(trustme.CA())

    def resolve(self, real: Callable[..., Any], host: str, port: int, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """`socket.getaddrinfo` where only the names of this network and loopback exist."""
        if host not in ("127.0.0.1", "localhost", "::1") and (host, port) not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(*self.names.get((host, port), (host, port)), *args, **kwargs)


def _certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(f"*.{suffix}" for suffix in SUFFIXES)).configure_cert(context)
    return context


@contextmanager
def network() -> Iterator[Network]:
    """Lead the names of Azure to loopback, and trust one authority of the test's own."""
    net = Network()
    real = socket.getaddrinfo
    trust = ssl.create_default_context()
    net.authority.configure_trust(trust)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: net.resolve(real, *args, **kwargs))
        # aiohttp makes its context once, when it is imported.
        patch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trust)
        yield net


class Peer:
    """One dependency at a host name: requests that `concerns` names get the fault, all others their real answer.

    `success` is the status that its operation ends with; `sent` counts the bytes of faulty answers.
    """

    def __init__(
        self,
        net: Network,
        name: Address,
        backend: Address,
        *,
        tls: bool = True,
        error_body: Callable[[int, str, str], tuple[str, bytes]] = json_error,
    ) -> None:
        self._net = net
        self.name = name
        self._backend = backend
        self._tls = tls
        self.concerns = ""
        self.success = 200
        self._error_body = error_body
        self._tasks: set[asyncio.Task[None]] = set()
        self._address: Address = ("127.0.0.1", 0)
        self._server: asyncio.Server | None = None
        self._backlog = ExitStack()
        self.fault: Fault | None = None
        self.hits = 0
        self.sent = 0

    async def start(self) -> None:
        """Listen on loopback under the name."""
        self._address = await self._listen(self._accept, self._net.certificate if self._tls else None)
        self._net.names[self.name] = self._address

    async def stop(self) -> None:
        """Close all connections."""
        self._net.names.pop(self.name, None)
        await self._close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def break_with(self, fault: Fault) -> None:
        """Have the fault from now on."""
        self.fault = fault
        if fault.place is Place.NOWHERE:
            del self._net.names[self.name]
        elif fault.place:
            await self._close()
        if fault.place is Place.STRANGER:
            await self._listen(_hang_up, self._net.untrusted)
        elif fault.place is Place.SLAMMED_DOOR:
            await self._listen(_slam, None)
        elif fault.place is Place.FULL_BACKLOG:
            self._fill_backlog()

    async def heal(self) -> None:
        """Be well again."""
        self.fault = None
        await self.stop()
        await self.start()

    async def _listen(self, serve: Serve, tls: ssl.SSLContext | None) -> Address:
        host, port = self._address
        self._server = await asyncio.start_server(serve, host, port, ssl=tls)
        address: Address = self._server.sockets[0].getsockname()
        return address

    async def _close(self) -> None:
        self._backlog.close()
        if self._server:
            self._server.close()
            self._server = None

    def _fill_backlog(self) -> None:
        """Listen with a full queue of connections: the system ignores further ones."""
        listening = self._backlog.enter_context(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(self._address)
        listening.listen(0)
        for _ in range(4):
            waiting = self._backlog.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(self._address)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
                await self._exchange(reader, writer)
        finally:
            writer.transport.abort() if self.fault else writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)

        async def answer() -> bytes:
            return await _passed_on(self._backend, head, body)

        line = head.partition(b"\r\n")[0].decode()
        exchange = Exchange(answer, writer, self.success, self._error_body)
        if self.fault and self.fault.behave and re.search(self.concerns, line):
            self.hits += 1
            gone = asyncio.ensure_future(reader.read(1))
            faulty = asyncio.ensure_future(self.fault.behave(exchange))
            try:
                # A caller that gave up ends the fault.
                await asyncio.wait((gone, faulty), return_when=asyncio.FIRST_COMPLETED)
                if faulty.done():
                    faulty.result()
            finally:
                self.sent = max(self.sent, exchange.sent)
                gone.cancel()
                faulty.cancel()
                await asyncio.gather(gone, faulty, return_exceptions=True)
        else:
            await exchange.send(await answer())
        if writer.can_write_eof():
            writer.write_eof()


async def _passed_on(backend: Address, head: bytes, body: bytes) -> bytes:
    """The real part's whole answer; it closes the connection after it."""
    reader, writer = await asyncio.open_connection(*backend)
    first, _, rest = head.partition(b"\r\n")
    # Azurite knows its account by the path only where the host is an address.
    fields = re.sub(rb"(?i)(connection|host): [^\r]*\r\n", b"", rest)
    host = f"Host: {backend[0]}:{backend[1]}"
    writer.write(first + f"\r\nConnection: close\r\n{host}\r\n".encode() + fields + body)
    try:
        return await reader.read(-1)
    finally:
        writer.close()


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
