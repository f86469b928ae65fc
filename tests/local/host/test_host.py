"""The host: start and stop, which function answers, keys, the host's own paths, failures, queue functions."""

import asyncio
import logging

import azure.functions as func
import pytest
from aiohttp import web

from tests.local.host.client import Serve, anonymous_app, ask, assert_empty, echo, new_host

MASTER = [("x-functions-key", "master-key")]


def _app(catch_all: str | None = None) -> func.FunctionApp:
    app = anonymous_app()

    @app.route("sessions/{sessionId}", methods=["GET"])
    async def get_result(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(f"get_result {req.route_params['sessionId']}")

    @app.route("health", methods=["GET"])
    async def health(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("health")

    if catch_all:

        @app.function_name(catch_all)
        @app.route("{*path}")
        async def anything(req: func.HttpRequest) -> func.HttpResponse:
            caught = f"caught {req.method} {req.route_params.get('path')}"
            return func.HttpResponse(caught, status_code=405)

    return app


async def test_extra_routes_are_served_beside_the_functions(serve: Serve) -> None:
    """A console page is served by aiohttp's own means; paths that it does not match go to the functions."""

    async def console(request: web.Request) -> web.Response:
        return web.json_response({"name": request.match_info["name"], "app": request.app is not None})

    url = await serve(_app(), extra_routes=[web.get("/console/{name}", console)])

    assert (await ask(url, "GET", "/console/x")).json() == {"name": "x", "app": True}
    assert (await ask(url, "GET", "/api/health")).status == 200
    assert_empty(404, await ask(url, "POST", "/console/x"))


async def test_stopped_host_does_not_listen() -> None:
    """After `stop` the port is closed, and stopping again does nothing."""
    host = new_host(_app())
    await host.start()
    assert (await ask(host.url, "GET", "/")).status == 204
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

    host = new_host(app)
    await host.invoke_queue("results", "é", 3, "id-1")
    with pytest.raises(RuntimeError, match="not yet"):
        await host.invoke_queue("results", "", 4, "id-1")

    assert seen == [("id-1", "é".encode(), 3), ("id-1", b"", 4)]


@pytest.mark.parametrize(
    ("catch_all", "method", "target", "status", "body"),
    [
        ("fallback", "GET", "/api/health", 405, "caught GET health"),
        ("unknown_route", "GET", "/api/health", 200, "health"),
        ("unknown_route", "POST", "/api/health", 405, "caught POST health"),
        ("unknown_route", "PUT", "/api/health", 405, "caught PUT health"),
        ("unknown_route", "GET", "/api/nowhere/at/all", 405, "caught GET nowhere/at/all"),
        (None, "GET", "/API/Health/", 200, "health"),
        (None, "GET", "/api/sessions/%2e%2e/health", 200, "health"),
        (None, "GET", "/api/sessions/a%2Fb%20c%ff", 200, "get_result a%2Fb c%ff"),
        (None, "GET", "/api/sessions/%00", 400, ""),
        *((None, method, "/api/health", 404, "") for method in ("HEAD", "POST", "OPTIONS", "BREW")),
        *((None, "GET", target, 404, "") for target in ("/api/nowhere", "/api//health", "/elsewhere")),
        (None, "OPTIONS", "*", 404, ""),
    ],
)
async def test_function_is_found_by_the_order_of_the_names(
    serve: Serve, catch_all: str | None, method: str, target: str, status: int, body: str
) -> None:
    """The first match by name answers, for the resolved path. A wrong method is an empty 404, never a 405."""
    answer = await ask(await serve(_app(catch_all)), method, target)

    assert (answer.status, answer.body, answer.one("Allow")) == (status, body.encode(), None)
    assert answer.one("Content-Type") == ("text/plain; charset=utf-8" if catch_all or body else None)


@pytest.mark.parametrize(("prefix", "target"), [("v1", "/v1/health"), ("", "/health")], ids=["other", "none"])
async def test_route_prefix_of_host_json_is_used(serve: Serve, prefix: str, target: str) -> None:
    """The route prefix comes from host.json, and then `api` is a path like any other."""
    url = await serve(_app(), host_json={"extensions": {"http": {"routePrefix": prefix}}})

    assert (await ask(url, "GET", target)).body == b"health"
    assert_empty(404, await ask(url, "GET", "/api/health"))


@pytest.mark.parametrize("way", ["header", "query"])
async def test_only_the_right_keys_open_a_function(serve: Serve, way: str) -> None:
    """The key comes as a header or as `code`; without the right one the answer is an empty 401."""
    levels = ("anonymous", "function", "admin")
    app = func.FunctionApp()
    for level in levels:
        app.function_name(level)(app.route(level, auth_level=level)(echo))
    url = await serve(app)

    keyless = await serve(app, function_key="", master_key="")
    assert_empty(401, await ask(keyless, "GET", "/api/function"))
    for key, opened in {"": 1, "wrong": 1, "FUNCTION-KEY": 1, "function-key": 2, "master-key": 3}.items():
        headers = [("x-functions-key", key)] if way == "header" else []
        query = f"?code={key}" if way == "query" else ""
        answers = [await ask(url, "GET", f"/api/{level}{query}", headers) for level in levels]
        assert [answer.status for answer in answers] == [200] * opened + [401] * (3 - opened), key
        for refused in answers[opened:]:
            assert_empty(401, refused)


@pytest.mark.parametrize("target", ["/admin/host/ping", "/admin/warmup", "/Admin/Host/Ping/"])
async def test_ping_and_warmup_are_open(serve: Serve, target: str) -> None:
    assert (await ask(await serve(_app()), "GET", target)).status == 200


@pytest.mark.parametrize("target", ["/admin/host/status", "/admin/functions/health", "/runtime/webhooks/x"])
async def test_other_paths_of_the_host_need_the_master_key(serve: Serve, target: str) -> None:
    url = await serve(_app())
    assert_empty(401, await ask(url, "GET", target, [("x-functions-key", "function-key")]))
    assert_empty(404, await ask(url, "GET", target, MASTER))


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("POST", "/Admin/Functions/PURGE/", b"{}", 202),
        ("POST", "/admin/functions/nobody", b"{}", 404),
        ("POST", "/admin/functions/health", b"{}", 404),
        ("GET", "/admin/functions/purge", None, 404),
        *(("POST", "/admin/functions/purge", body, 400) for body in (None, b"[]", b"{")),
        ("POST", "/admin/functions/purge", b"{}", 401),
    ],
)
async def test_timer_is_run_by_hand(
    caplog: pytest.LogCaptureFixture, method: str, target: str, body: bytes | None, status: int, fails: bool
) -> None:
    """A timer's name with a JSON object starts it, and `stop` waits for its end; other requests run nothing.

    The caller has its answer before the timer ends: only the log tells of a failure.
    """
    ran: list[bool] = []
    app = _app()

    @app.timer_trigger("timer", schedule="0 17 * * * *")
    async def purge(timer: func.TimerRequest) -> None:
        await asyncio.sleep(0)
        ran.append(timer.past_due)
        if fails:
            raise RuntimeError("not today")

    host = new_host(app)
    await host.start()
    headers = [("x-functions-key", "function-key")] if status == 401 else MASTER
    answer = await ask(host.url, method, target, headers, body)
    await host.stop()

    assert_empty(status, answer)
    assert ran == ([False] if status == 202 else [])
    assert ("Functions.purge" in caplog.text) == (fails and status == 202)


@pytest.mark.parametrize(
    "result",
    [
        *(
            RuntimeError("secret detail"),
            TimeoutError("secret detail"),
            None,
            {"secret": "detail"},
            b"secret",
        ),
        func.HttpResponse("secret detail", headers={"X-Name": "é"}),
    ],
    ids=lambda result: type(result).__name__,
)
async def test_function_that_fails_is_an_empty_500_and_a_traceback_in_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture, result: object
) -> None:
    """An exception, and a result that the host cannot render, is an empty 500; the log has the traceback."""
    app = anonymous_app()

    @app.route("answer")
    async def answer(req: func.HttpRequest) -> object:
        if isinstance(result, Exception):
            raise result
        return result

    url = await serve(app)
    with caplog.at_level(logging.ERROR):
        assert_empty(500, await ask(url, "GET", "/api/answer"))

    (record,) = caplog.records
    assert "Functions.answer" in record.getMessage()
    assert record.exc_info is not None


async def test_call_longer_than_the_function_timeout_is_500(serve: Serve) -> None:
    """A call that outlasts `functionTimeout` is cancelled: an empty 500, and the next call is served."""
    app = _app()
    cancelled: list[bool] = []

    @app.route("late")
    async def late(req: func.HttpRequest) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return ""

    url = await serve(app, host_json={"functionTimeout": "00:00:00.02"})

    assert_empty(500, await ask(url, "GET", "/api/late"))
    assert cancelled == [True]
    assert (await ask(url, "GET", "/api/health")).body == b"health"
