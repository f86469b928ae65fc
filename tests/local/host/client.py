"""Speaks HTTP/1.1 over a raw socket, because a client library would normalise what these tests send."""

import asyncio
import io
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, cast
from urllib.parse import urlsplit

import azure.functions as func

from local.host import Host

Headers = list[tuple[str, str]]

Serve = Callable[..., Awaitable[str]]
"""Starts a host and returns its URL: takes the app or one function, `host_json`, and the host's other parameters."""


class Answer(HTTPResponse):
    """A response: `version` is 11 for HTTP/1.1, and the body comes without its chunks."""

    def __init__(self, received: bytes, method: str) -> None:
        super().__init__(cast(socket.socket, _Received(received)), method=method)
        self.begin()
        self.body = self.read()

    def json(self) -> Any:  # noqa: ANN401 - any JSON.
        return json.loads(self.body)

    def one(self, name: str) -> str | None:
        """Return the value of a header that must not be there twice."""
        values = self.headers.get_all(name, [None])
        assert len(values) == 1, values
        return values[0]


@dataclass
class _Received:
    """The part of a socket that `HTTPResponse` reads, with all that was received."""

    raw: bytes

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.raw)


def assert_empty(status: int, answer: Answer) -> None:
    """Expect an answer of the host itself: a status and nothing else."""
    assert (answer.status, answer.body, answer.one("Content-Length")) == (status, b"", "0")


def anonymous_app() -> func.FunctionApp:
    """Return an app whose functions need no key."""
    return func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def new_host(app: func.FunctionApp, **more: Any) -> Host:  # noqa: ANN401 - the host's own parameters.
    return Host(app, **{"host_json": {}, "function_key": "function-key", "master_key": "master-key"} | more)


async def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Answer the request as the function sees it."""
    seen = {name: dict(getattr(req, name)) for name in ("headers", "params", "route_params")}
    text = {"method": req.method, "url": req.url, "body": req.get_body().decode()}
    return func.HttpResponse(json.dumps(seen | text), mimetype="application/json")


async def ask(
    url: str, method: str, target: str, headers: Headers | None = None, body: bytes | None = None
) -> Answer:
    """Send one request, with a Content-Length if there is a body, and read until the connection closes."""
    head = [("Host", "broker.test"), ("Connection", "close"), *(headers or [])]
    if body is not None:
        head.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in head), "", ""]
    return await exchange(url, "\r\n".join(lines).encode() + (body or b""))


async def exchange(url: str, request: bytes) -> Answer:
    """Send bytes, and read the answer until the host closes the connection."""
    return Answer(await exchange_raw(url, request), request.split()[0].decode())


async def exchange_raw(url: str, request: bytes, after_interim: bytes = b"") -> bytes:
    """Send bytes and, after an interim answer, the rest; return all that came until the connection was closed."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(request)
        interim = await reader.readuntil(b"\r\n\r\n") if after_interim else b""
        writer.write(after_interim)
        return interim + await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
