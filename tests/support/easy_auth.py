"""What stands in front of an app that has Easy Auth."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.broker import Broker


@asynccontextmanager
async def guarded(broker: Broker, *tokens: str) -> AsyncIterator[str]:
    """Its URL: it passes on what comes with one of the tokens, and refuses the rest without a body."""

    async def pass_on(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") not in {f"Bearer {token}" for token in tokens}:
            return web.Response(status=401)
        answer = await broker.http.request(
            request.method, request.path, headers=_forwarded(request), content=await request.read()
        )
        return web.Response(status=answer.status_code, body=answer.content, headers=_told(answer.headers))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pass_on)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def _forwarded(request: web.Request) -> dict[str, str]:
    return {
        name: value for name, value in request.headers.items() if name not in {"Content-Length", "Connection"}
    }


def _told(headers: Mapping[str, str]) -> dict[str, str]:
    return {"Content-Type": headers.get("content-type", "text/plain")}
