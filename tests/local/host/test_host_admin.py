"""Running a timer function by hand, at the host's own address."""

import asyncio
import logging

import azure.functions as func
import pytest

from tests.local.host.host_client import Serve, anonymous_app, ask, echo

KEY = [("x-functions-key", "master-key")]


def timer_app(ran: list[bool], *, fails: bool = False) -> func.FunctionApp:
    """An app with a timer that tells when it ran, and a function behind a route."""
    app = anonymous_app()
    app.function_name("echo")(app.route("echo")(echo))

    @app.timer_trigger("timer", schedule="0 17 * * * *")
    async def purge(timer: func.TimerRequest) -> None:
        await asyncio.sleep(0)
        ran.append(timer.past_due)
        if fails:
            raise RuntimeError("not today")

    return app


@pytest.mark.parametrize("target", ["/admin/functions/purge", "/Admin/Functions/PURGE/"])
async def test_timer_is_run_by_hand(serve: Serve, target: str) -> None:
    """With the master key the function is started at once: 202, and `stop` waits for its end."""
    ran: list[bool] = []
    host = await serve(timer_app(ran))

    answer = await ask(host.url, "POST", target, KEY, b"{}")
    await host.stop()

    assert (answer.status, answer.body, ran) == (202, b"", [False])


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        pytest.param("POST", "/admin/functions/nobody", b"{}", 404, id="no such function"),
        pytest.param("POST", "/admin/functions/echo", b"{}", 404, id="not a timer"),
        pytest.param("POST", "/admin/functions/", b"{}", 404, id="no name"),
        pytest.param("GET", "/admin/functions/purge", None, 404, id="other method"),
        pytest.param("POST", "/admin/functions/purge", None, 400, id="no body"),
        pytest.param("POST", "/admin/functions/purge", b"[]", 400, id="no object"),
        pytest.param("POST", "/admin/functions/purge", b"{", 400, id="no JSON"),
    ],
)
async def test_other_requests_run_nothing(
    serve: Serve, method: str, target: str, body: bytes | None, status: int
) -> None:
    """Only a timer's name with a JSON object runs it."""
    ran: list[bool] = []
    host = await serve(timer_app(ran))

    answer = await ask(host.url, method, target, KEY, body)
    await host.stop()

    assert (answer.status, ran) == (status, [])


@pytest.mark.parametrize("headers", [[], [("x-functions-key", "function-key")]], ids=["none", "function-key"])
async def test_timer_needs_the_master_key(serve: Serve, headers: list[tuple[str, str]]) -> None:
    """Nobody but the operator runs it."""
    ran: list[bool] = []
    host = await serve(timer_app(ran))

    answer = await ask(host.url, "POST", "/admin/functions/purge", headers, b"{}")
    await host.stop()

    assert (answer.status, ran) == (401, [])


async def test_timer_that_fails_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """The caller was answered long since; the log has the function's name."""
    ran: list[bool] = []
    host = await serve(timer_app(ran, fails=True))

    with caplog.at_level(logging.ERROR):
        answer = await ask(host.url, "POST", "/admin/functions/purge", KEY, b"{}")
        await host.stop()

    assert (answer.status, ran) == (202, [False])
    assert "Functions.purge" in caplog.text
