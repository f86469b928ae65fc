"""A storage service on loopback that gives the answers of a test."""

import asyncio
import base64
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

RESET: Final = b"RESET"
"""In place of an answer: the connection breaks after the request arrived."""
HANG: Final = b"HANG"
"""In place of an answer: no answer comes."""

KEY: Final = base64.b64encode(b"a key for tests alone").decode()


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived, and the number of the connection that brought it."""

    method: str
    path: str
    connection: int


def answer(status: int, body: str | bytes = "", headers: Mapping[str, str] | None = None) -> bytes:
    """Make an HTTP answer."""
    content = body if isinstance(body, bytes) else body.encode()
    sent = {"Content-Type": "application/json", **(headers or {}), "Content-Length": len(content)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode() + content


def refusal(status: int, code: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Make an error response in the shape of the table service."""
    error = {"code": code, "message": {"lang": "en-US", "value": "a message"}}
    return answer(status, json.dumps({"odata.error": error}), headers)


class RawServer:
    """Gives the answers in turn and repeats the last one; records the requests.

    `arrived` is set from the first request on.
    """

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.received: list[Received] = []
        self.arrived = asyncio.Event()
        self._answers = list(answers)
        self._connections = 0
        self._over = asyncio.Event()
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._over.set()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._open.values())
        await self._server.wait_closed()

    @property
    def connection_string(self) -> str:
        """The connection string of this server."""
        host, port = self._server.sockets[0].getsockname()
        return f"AccountName=tests;AccountKey={KEY};TableEndpoint=http://{host}:{port}/tests"

    def methods(self) -> list[str]:
        """Return the methods of the requests, in their order."""
        return [request.method for request in self.received]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open[writer] = task
        self._connections += 1
        connection = self._connections
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._exchange(reader, writer, connection):
                    pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)\r\ncontent-length: *(\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        method, path, _ = head.split(" ", 2)
        self.received.append(Received(method, path, connection))
        self.arrived.set()
        reply = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if reply == HANG:
            await self._over.wait()
            return False
        if reply == RESET:
            writer.transport.abort()
            return False
        writer.write(reply)
        await writer.drain()
        return True
