"""Which part of the host answers, and whether it lets the caller in: routes, keys, the host's own paths, limits."""

import asyncio
import logging
from collections import Counter

import azure.functions as func
import pytest

from local.host.serving import AccessKeys
from tests.local.host.client import Headers, Serve, anonymous_app, ask, assert_empty, echo

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


@pytest.mark.parametrize(
    ("catch_all", "method", "target", "body"),
    [
        ("fallback", "GET", "/api/health", "caught GET health"),
        ("unknown_route", "GET", "/api/health", "health"),
        ("unknown_route", "POST", "/api/health", "caught POST health"),
        ("unknown_route", "GET", "/api/nowhere/at/all", "caught GET nowhere/at/all"),
        (None, "GET", "/API/Health/", "health"),
        (None, "GET", "/api/sessions/%2e%2e/health", "health"),
        (None, "GET", "/api/sessions/a%2Fb%20c%ff", "get_result a%2Fb c%ff"),
    ],
)
async def test_function_is_found_by_the_order_of_the_names(
    serve: Serve, catch_all: str | None, method: str, target: str, body: str
) -> None:
    """The first match by function name answers, for the resolved path with its slashes still encoded."""
    host = await serve(_app(catch_all))

    assert (await ask(host.url, method, target)).body == body.encode()


@pytest.mark.parametrize(
    ("method", "target"),
    [
        *((method, "/api/health") for method in ("POST", "OPTIONS", "BREW")),
        ("GET", "/api/nowhere"),
        ("GET", "/api//health"),
        ("GET", "/elsewhere"),
        ("OPTIONS", "*"),
        ("GET", "/api/sessions/%00"),
    ],
)
async def test_unknown_path_or_method_is_an_empty_404(serve: Serve, method: str, target: str) -> None:
    """A wrong method is 404 like an unknown path, never 405; `%00` is refused with 400."""
    host = await serve(_app())

    answer = await ask(host.url, method, target)

    assert_empty(400 if "%00" in target else 404, answer)
    assert answer.one("Allow") is None


async def test_head_is_answered_without_the_body(serve: Serve) -> None:
    """HEAD reaches a function that takes it, and its answer loses the body only."""
    host = await serve(_app("unknown_route"))

    answer = await ask(host.url, "HEAD", "/api/health")

    assert (answer.status, answer.body) == (405, b"")
    assert answer.one("Content-Type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize(("prefix", "target"), [("v1", "/v1/health"), ("", "/health")], ids=["other", "none"])
async def test_route_prefix_of_host_json_is_used(serve: Serve, prefix: str, target: str) -> None:
    """The route prefix comes from host.json, and then `api` is a path like any other."""
    host = await serve(_app(), {"extensions": {"http": {"routePrefix": prefix}}})

    assert (await ask(host.url, "GET", target)).body == b"health"
    assert_empty(404, await ask(host.url, "GET", "/api/health"))


@pytest.mark.parametrize("way", ["header", "query"])
async def test_only_the_right_keys_open_a_function(serve: Serve, way: str) -> None:
    """The key comes as a header or as `code`; without the right one the answer is an empty 401."""
    app = func.FunctionApp()
    for level in ("anonymous", "function", "admin"):
        app.function_name(level)(app.route(level, auth_level=level)(echo))
    host = await serve(app)

    for key in ("", "wrong", "FUNCTION-KEY", "function-key", "master-key"):
        opened = {"function-key": ["anonymous", "function"], "master-key": ["anonymous", "function", "admin"]}
        for name in ("anonymous", "function", "admin"):
            headers: Headers = [("x-functions-key", key)] if way == "header" else []
            target = f"/api/{name}" + (f"?code={key}" if way == "query" else "")
            answer = await ask(host.url, "GET", target, headers)
            if name in opened.get(key, ["anonymous"]):
                assert answer.status == 200, (key, name)
            else:
                assert_empty(401, answer)


def test_empty_key_opens_nothing_and_keys_are_not_printed() -> None:
    """A host without keys does not take a missing key for the right one; the repr shows no key."""
    assert not AccessKeys("", "").open(func.AuthLevel.FUNCTION, {}, {})
    assert repr(AccessKeys("function-key", "master-key")) == "AccessKeys()"


async def test_paths_of_the_host_itself(serve: Serve) -> None:
    """The home page is off; ping and warmup are open; everything else needs the master key."""
    host = await serve(_app())

    assert (await ask(host.url, "GET", "/")).status == 204
    for target in ("/admin/host/ping", "/admin/warmup", "/Admin/Host/Ping/"):
        assert (await ask(host.url, "GET", target)).status == 200
    for target in ("/admin/host/status", "/admin/functions/health", "/runtime/webhooks/x"):
        assert_empty(401, await ask(host.url, "GET", target, [("x-functions-key", "function-key")]))
        assert_empty(404, await ask(host.url, "GET", target, MASTER))


def _timer_app(ran: list[bool], *, fails: bool = False) -> func.FunctionApp:
    app = _app()

    @app.timer_trigger("timer", schedule="0 17 * * * *")
    async def purge(timer: func.TimerRequest) -> None:
        await asyncio.sleep(0)
        ran.append(timer.past_due)
        if fails:
            raise RuntimeError("not today")

    return app


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("POST", "/admin/functions/purge", b"{}", 202),
        ("POST", "/Admin/Functions/PURGE/", b"{}", 202),
        ("POST", "/admin/functions/nobody", b"{}", 404),
        ("POST", "/admin/functions/health", b"{}", 404),
        ("POST", "/admin/functions/", b"{}", 404),
        ("GET", "/admin/functions/purge", None, 404),
        ("POST", "/admin/functions/purge", None, 400),
        ("POST", "/admin/functions/purge", b"[]", 400),
        ("POST", "/admin/functions/purge", b"{", 400),
        ("POST", "/admin/functions/purge", b"{}", 401),
    ],
)
async def test_timer_is_run_by_hand(
    serve: Serve, method: str, target: str, body: bytes | None, status: int
) -> None:
    """A timer's name with a JSON object starts it, and `stop` waits for its end; other requests run nothing."""
    ran: list[bool] = []
    host = await serve(_timer_app(ran))

    headers = [("x-functions-key", "function-key")] if status == 401 else MASTER
    answer = await ask(host.url, method, target, headers, body)
    await host.stop()

    assert_empty(status, answer)
    assert ran == ([False] if status == 202 else [])


async def test_timer_that_fails_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """The caller has its answer before the timer ends; the log has the function's name."""
    ran: list[bool] = []
    host = await serve(_timer_app(ran, fails=True))

    answer = await ask(host.url, "POST", "/admin/functions/purge", MASTER, b"{}")
    await host.stop()

    assert (answer.status, ran) == (202, [False])
    assert "Functions.purge" in caplog.text


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

    host = await serve(app)
    with caplog.at_level(logging.ERROR):
        assert_empty(500, await ask(host.url, "GET", "/api/answer"))

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

    host = await serve(app, {"functionTimeout": "00:00:00.02"})

    assert_empty(500, await ask(host.url, "GET", "/api/late"))
    assert cancelled == [True]
    assert (await ask(host.url, "GET", "/api/health")).body == b"health"


async def test_requests_beyond_the_outstanding_ones_are_429(serve: Serve) -> None:
    """Of twelve at once, with four concurrent and six outstanding, six are answered and six refused."""
    app = anonymous_app()
    refused = asyncio.Event()
    running, most = 0, 0

    @app.route("work")
    async def work(req: func.HttpRequest) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await refused.wait()
        running -= 1
        return ""

    async def one() -> None:
        answer = await ask(host.url, "GET", "/api/work")
        statuses[answer.status] += 1
        if statuses[429] == 6:
            refused.set()

    statuses: Counter[int] = Counter()
    limits = {"maxConcurrentRequests": 4, "maxOutstandingRequests": 6}
    host = await serve(app, {"extensions": {"http": limits}})
    await asyncio.gather(*(one() for _ in range(12)))

    assert (dict(statuses), most) == ({200: 6, 429: 6}, 4)
    assert (await ask(host.url, "GET", "/api/work")).status == 200
