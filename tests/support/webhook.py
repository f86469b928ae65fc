"""A webhook on loopback that takes events as a business system would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Webhook:
    """Answers the next POSTs with `statuses`, and then with 200; `granted` is its answer to the handshake."""

    url: str = ""
    granted: str | None = "eventgrid.azure.net"
    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    taken: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.method == "POST" else None
        self.requests.append((request.method, dict(request.headers), body))
        if request.method == "OPTIONS":
            return web.Response(headers={"WebHook-Allowed-Origin": self.granted} if self.granted else {})
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken.set()
        return web.Response(status=status)


@asynccontextmanager
async def running_webhook() -> AsyncIterator[Webhook]:
    webhook, app = Webhook(), web.Application()
    app.router.add_route("*", "/orders", webhook.answer)
    async with TestServer(app) as server:
        webhook.url = str(server.make_url("/orders"))
        yield webhook
