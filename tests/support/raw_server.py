"""A server on loopback, on raw streams, that answers as well or as badly as a test asks it to."""

import asyncio
import base64
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, Self

from tests.support.time import let_pass

KEY: Final = base64.b64encode(b"a key for tests alone").decode()


@dataclass(frozen=True, slots=True)
class Received:
    """One request, the names of its headers in lower case, and the number of the connection that brought it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[bool]]
"""What to do once a request was read; answers whether the connection stays open for another one."""

Step = bytes | Behaviour
"""The bytes of an answer after which the connection stays open, or a behaviour."""


class RawServer:
    """Takes one step for each request, and repeats the last one."""

    def __init__(self, *steps: Step, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self._news = asyncio.Event()
        self.connections = 0
        self._steps = list(steps)
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def connection_string(self) -> str:
        """The connection string of this server as a table service."""
        return f"AccountName=tests;AccountKey={KEY};TableEndpoint={self.url}/tests"

    def methods(self) -> list[str]:
        return [request.method for request in self.received]

    async def arrived(self, requests: int = 1) -> None:
        while len(self.received) < requests:
            self._news.clear()
            await self._news.wait()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.ensure_future(self._serve(reader, writer, self.connections)))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        try:
            stays = True
            while stays:
                self.received.append(await _read_request(reader, connection))
                self._news.set()
                step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
                behave = sent(step, stays=True) if isinstance(step, bytes) else step
                stays = await behave(writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client went away.
        finally:
            writer.transport.close()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body, connection)


@contextmanager
def full_backlog() -> Iterator[str]:
    """The URL of a server that accepts no connection: the queue of the ones that wait for it is full."""
    with ExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield "http://{}:{}/".format(*listening.getsockname())


def answer(status: int, body: str | bytes = "", headers: Mapping[str, str] | None = None) -> bytes:
    """Make an HTTP answer; its content is JSON where `headers` name no other type."""
    content = body if isinstance(body, bytes) else body.encode()
    fields = {"Content-Type": "application/json", **(headers or {}), "Content-Length": len(content)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode() + content


def refusal(status: int, code: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Make an error response in the shape of the table service."""
    error = {"code": code, "message": {"lang": "en-US", "value": "a message"}}
    return answer(status, json.dumps({"odata.error": error}), headers)


def sent(content: bytes, *, stays: bool = False) -> Behaviour:
    """Send these bytes, whatever they are, and close the connection unless it stays."""

    async def behave(writer: asyncio.StreamWriter) -> bool:
        writer.write(content)
        return stays

    return behave


def then_endless(head: bytes, chunk: bytes) -> Behaviour:
    """Send a head, and then the same bytes until the client goes away."""

    async def behave(writer: asyncio.StreamWriter) -> bool:
        writer.write(head)
        while True:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)

    return behave


def reset_after(content: bytes) -> Behaviour:
    """Send these bytes, and reset the connection."""

    async def behave(writer: asyncio.StreamWriter) -> bool:
        if content:
            writer.write(content)
            await writer.drain()
            await asyncio.sleep(0.02)
        peer: socket.socket = writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False

    return behave


async def silent(writer: asyncio.StreamWriter) -> bool:
    """Never answer, and keep the connection."""
    await asyncio.Event().wait()
    return False


async def too_slow(writer: asyncio.StreamWriter) -> bool:
    """Never answer: an hour passes on the clock of the event loop once the request has arrived."""
    let_pass(3600)
    return await silent(writer)


async def silent_for_a_minute(writer: asyncio.StreamWriter) -> bool:
    """Never answer: a minute passes on the clock of the event loop once the request has arrived."""
    let_pass(60)
    return await silent(writer)


HANG: Final = silent
TOO_SLOW: Final = too_slow
RESET: Final = reset_after(b"")
