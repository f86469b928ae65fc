"""Keys, and the addresses that are the host's own."""

import azure.functions as func
import pytest
from aiohttp import web

from local.host.keys import AccessKeys
from tests.local.host.host_client import Answer, Headers, Serve, anonymous_app, ask, echo


def _guarded() -> func.FunctionApp:
    app = func.FunctionApp()
    app.function_name("open")(app.route("open", auth_level="anonymous")(echo))

    @app.route("audit", auth_level="function")
    async def audit(req: func.HttpRequest) -> str:
        return "audited"

    @app.route("secret", auth_level="admin")
    async def secret(req: func.HttpRequest) -> str:
        return "told"

    return app


def _key(value: str) -> Headers:
    return [("x-functions-key", value)]


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        pytest.param("/api/audit", [], id="no-key"),
        pytest.param("/api/audit", _key("wrong"), id="wrong-key"),
        pytest.param("/api/audit", _key("FUNCTION-KEY"), id="other-case"),
        pytest.param("/api/audit?code=wrong", [], id="wrong-code"),
        pytest.param("/api/secret", _key("function-key"), id="function-key-for-admin"),
    ],
)
async def test_missing_or_wrong_key_is_an_empty_401(serve: Serve, target: str, headers: Headers) -> None:
    """Without the right key a guarded function is an empty 401."""
    host = await serve(_guarded())

    _assert_empty(401, await ask(host.url, "GET", target, headers))


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        pytest.param("/api/open", [], id="anonymous"),
        pytest.param("/api/audit", _key("function-key"), id="header"),
        pytest.param("/api/audit?code=function-key", [], id="query"),
        pytest.param("/api/audit", _key("master-key"), id="master-key"),
        pytest.param("/api/audit?code=master-key", [], id="master-key-in-the-query"),
        pytest.param("/api/secret", _key("master-key"), id="admin"),
    ],
)
async def test_right_key_opens_the_function(serve: Serve, target: str, headers: Headers) -> None:
    """The function key comes as a header or as `code`, and the master key opens every level."""
    host = await serve(_guarded())

    assert (await ask(host.url, "GET", target, headers)).status == 200


def test_empty_key_opens_nothing() -> None:
    """A host without keys does not take a missing key for the right one."""
    assert not AccessKeys("", "").opens(func.AuthLevel.FUNCTION, {}, {})


def test_keys_are_not_in_the_repr() -> None:
    """The keys do not show where the object is printed."""
    assert repr(AccessKeys("function-key", "master-key")) == "AccessKeys()"


async def test_home_page_is_off(serve: Serve) -> None:
    """The root is 204, as with `AzureWebJobsDisableHomepage=true`."""
    host = await serve(_guarded())

    answer = await ask(host.url, "GET", "/")

    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("target", ["/admin/host/ping", "/admin/warmup", "/Admin/Host/Ping/"])
async def test_ping_and_warmup_are_open_to_anybody(serve: Serve, target: str) -> None:
    """Two of the host's own addresses answer without a key."""
    host = await serve(_guarded())

    assert (await ask(host.url, "GET", target)).status == 200


@pytest.mark.parametrize("target", ["/admin/host/status", "/admin/functions/audit", "/runtime/webhooks/x"])
async def test_other_addresses_of_the_host_need_the_master_key(serve: Serve, target: str) -> None:
    """Everything else of the host's own is 401, and with the master key 404: nothing is behind it here."""
    host = await serve(_guarded())

    _assert_empty(401, await ask(host.url, "GET", target, _key("function-key")))
    _assert_empty(404, await ask(host.url, "GET", target, _key("master-key")))


async def test_extra_routes_are_served_beside_the_functions(serve: Serve) -> None:
    """A console page is served by aiohttp's own means, and what it does not match is the functions'."""

    async def console(request: web.Request) -> web.Response:
        return web.json_response({"name": request.match_info["name"], "app": request.app is not None})

    app = anonymous_app()
    app.route("echo")(echo)
    host = await serve(app, extra_routes=[web.get("/console/{name}", console)])

    assert (await ask(host.url, "GET", "/console/x")).json() == {"name": "x", "app": True}
    assert (await ask(host.url, "GET", "/api/echo")).status == 200
    _assert_empty(404, await ask(host.url, "POST", "/console/x"))


def _assert_empty(status: int, answer: Answer) -> None:
    assert (status, b"", "0") == (answer.status, answer.body, answer.one("Content-Length"))
