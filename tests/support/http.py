"""HTTP connections of a test's own."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from shared.face.calls import LARGEST_BODY
from shared.http import Connections, HttpTransport
from shared.http_port import HttpAnswer

NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""By default httpx reads all certificates of the machine for each client."""


def plain_client(url: str = "", **options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - httpx's own options.
    """Make a client for plain http."""
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=NO_CERTIFICATES, **options)


@asynccontextmanager
async def own_transport(ssl_context: ssl.SSLContext | None = None) -> AsyncIterator[HttpTransport]:
    """Make a transport over connections of its own, which are closed at the end."""
    connections = Connections(ssl_context)
    yield connections.transport(largest_answer=LARGEST_BODY)
    await connections.aclose()


def answer_of(status: int, content: object = b"", headers: Mapping[str, str] | None = None) -> HttpAnswer:
    """Make an answer as a transport returns it: of JSON, or of bytes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    fields = {"content-type": "application/json"} | {name.lower(): v for name, v in (headers or {}).items()}
    return HttpAnswer(status, fields, body)
