"""The host as a whole: start and stop, extra routes, queue functions."""

import azure.functions as func
import pytest
from aiohttp import web

from local.host import Host
from tests.local.host.client import Serve, anonymous_app, ask, assert_empty, echo


async def test_extra_routes_are_served_beside_the_functions(serve: Serve) -> None:
    """A console page is served by aiohttp's own means; paths that it does not match go to the functions."""

    async def console(request: web.Request) -> web.Response:
        return web.json_response({"name": request.match_info["name"], "app": request.app is not None})

    app = anonymous_app()
    app.route("echo")(echo)
    host = await serve(app, extra_routes=[web.get("/console/{name}", console)])

    assert (await ask(host.url, "GET", "/console/x")).json() == {"name": "x", "app": True}
    assert (await ask(host.url, "GET", "/api/echo")).status == 200
    assert_empty(404, await ask(host.url, "POST", "/console/x"))


async def test_stopped_host_does_not_listen(serve: Serve) -> None:
    """After `stop` the port is closed, and stopping again does nothing."""
    host = await serve(anonymous_app())
    await host.stop()
    await host.stop()

    with pytest.raises(ConnectionRefusedError):
        await ask(host.url, "GET", "/")


async def test_queue_function_gets_the_message_and_may_fail() -> None:
    """A queue function gets text, id and dequeue count; the pump gets its failure."""
    app = anonymous_app()
    seen: list[tuple[str | None, bytes, int | None]] = []

    @app.queue_trigger("message", queue_name="results", connection="AzureWebJobsStorage")
    async def collect(message: func.QueueMessage) -> None:
        seen.append((message.id, message.get_body(), message.dequeue_count))
        if len(seen) > 1:
            raise RuntimeError("not yet")

    host = Host(app, {}, function_key="f", master_key="m")
    await host.invoke_queue("results", "é", 3, "id-1")
    with pytest.raises(RuntimeError, match="not yet"):
        await host.invoke_queue("results", "", 4, "id-1")

    assert seen == [("id-1", "é".encode(), 3), ("id-1", b"", 4)]
