"""A server on loopback, on raw streams, that answers as well or as badly as a test asks it to."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came; the names in `headers` are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[bool]]
"""What to do once a request was read; answers whether the connection stays open for another one."""


class FaultServer:
    """Does one behaviour after the other, a request each; the last one from then on."""

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self._behaviours = list(behaviours)
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

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            stays = True
            while stays:
                self.received.append(await _read_request(reader))
                behaviour = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
                stays = await behaviour(writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client went away.
        finally:
            writer.transport.close()


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)


def answer(
    status: int,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    media_type: str = "application/json; charset=utf-8",
) -> Behaviour:
    """Answer properly."""
    fields = {"Content-Type": media_type, "Content-Length": str(len(body)), **(headers or {})}
    if status == 204:
        del fields["Content-Length"], fields["Content-Type"]
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return raw("\r\n".join(lines).encode() + body, stays=True)


def answer_json(status: int, content: object, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Answer properly with `content` as JSON."""
    return answer(status, json.dumps(content).encode(), headers)


def raw(content: bytes, *, stays: bool = False) -> Behaviour:
    """Send these bytes, whatever they are."""

    async def behave(writer: asyncio.StreamWriter) -> bool:
        writer.write(content)
        return stays

    return behave


def drip(content: bytes, seconds: float) -> Behaviour:
    """Send one byte at a time, with a pause after each."""

    async def behave(writer: asyncio.StreamWriter) -> bool:
        for byte in content:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(seconds)
        return False

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


async def silent(writer: asyncio.StreamWriter) -> bool:
    """Never answer, and keep the connection."""
    await asyncio.Event().wait()
    return False


def reset_after(content: bytes) -> Behaviour:
    """Send these bytes, and reset the connection."""

    async def behave(writer: asyncio.StreamWriter) -> bool:
        writer.write(content)
        await writer.drain()
        await asyncio.sleep(0.02)
        peer: socket.socket = writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False

    return behave
