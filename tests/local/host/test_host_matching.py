"""Which function answers, over a socket: order of routes, methods and paths as observed on the real host."""

import azure.functions as func
import pytest

from tests.local.host.host_client import Answer, Serve, anonymous_app, ask, echo


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


def _assert_empty(status: int, answer: Answer) -> None:
    assert (status, b"", "0") == (answer.status, answer.body, answer.one("Content-Length"))


async def test_catch_all_named_early_swallows_later_functions(serve: Serve) -> None:
    """A catch-all named `fallback` takes what sorts after "f": only the order of the names decides."""
    host = await serve(_app("fallback"))

    assert (await ask(host.url, "GET", "/api/health")).body == b"caught GET health"


async def test_catch_all_named_late_takes_only_what_nobody_wants(serve: Serve) -> None:
    """A catch-all named `unknown_route` lets every other function answer first."""
    host = await serve(_app("unknown_route"))

    assert (await ask(host.url, "GET", "/api/health")).body == b"health"
    assert (await ask(host.url, "POST", "/api/health")).body == b"caught POST health"
    assert (await ask(host.url, "GET", "/api/nowhere/at/all")).body == b"caught GET nowhere/at/all"


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "BREW"])
async def test_wrong_method_is_not_found_and_never_405(serve: Serve, method: str) -> None:
    """A method that no function takes is an empty 404."""
    host = await serve(_app())

    answer = await ask(host.url, method, "/api/health")

    assert (answer.status, answer.body) == (404, b"")
    assert answer.one("Allow") is None


async def test_unknown_route_is_an_empty_404(serve: Serve) -> None:
    """A path that no function has is an empty 404."""
    host = await serve(_app())

    _assert_empty(404, await ask(host.url, "GET", "/api/nowhere"))
    _assert_empty(404, await ask(host.url, "GET", "/elsewhere"))
    _assert_empty(404, await ask(host.url, "OPTIONS", "*"))


async def test_head_is_answered_by_the_function_that_takes_it_without_the_body(serve: Serve) -> None:
    """HEAD reaches a function that takes it, and its answer loses the body only."""
    host = await serve(_app("unknown_route"))

    answer = await ask(host.url, "HEAD", "/api/health")

    assert (answer.status, answer.body) == (405, b"")
    assert answer.one("Content-Type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize("method", ["PUT", "PROPFIND", "BREW", "M-SEARCH"])
async def test_function_without_methods_takes_any_method(serve: Serve, method: str) -> None:
    """A function that names no methods is called for any, even a made-up one."""
    app = anonymous_app()
    app.route("echo")(echo)
    host = await serve(app)

    assert method == (await ask(host.url, method, "/api/echo")).json()["method"]


@pytest.mark.parametrize(
    "target",
    ["/api/health", "/API/Health", "/api/health/", "/api/sessions/%2e%2e/health", "/api/sessions/../health"],
)
async def test_spelling_of_a_path_that_the_host_accepts_reaches_the_function(
    serve: Serve, target: str
) -> None:
    """Case and a trailing slash do not matter, and dot segments are resolved before a route is matched."""
    host = await serve(_app())

    assert (await ask(host.url, "GET", target)).body == b"health"


async def test_double_slash_is_not_accepted(serve: Serve) -> None:
    """An empty segment matches nothing."""
    host = await serve(_app())

    _assert_empty(404, await ask(host.url, "GET", "/api//health"))


@pytest.mark.parametrize(
    ("sent", "received"),
    [("a%2Fb", "a%2Fb"), ("..%2Fhealth", "..%2Fhealth"), ("%ff", "%ff"), ("a%20b", "a b"), ("A-b", "A-b")],
)
async def test_route_parameter_is_decoded_except_slashes_and_broken_bytes(
    serve: Serve, sent: str, received: str
) -> None:
    """`%2F` and `%ff` reach the function still encoded, `%20` decoded."""
    host = await serve(_app())

    assert f"get_result {received}".encode() == (await ask(host.url, "GET", f"/api/sessions/{sent}")).body


async def test_null_in_the_path_is_400(serve: Serve) -> None:
    """`%00` is refused before a function is looked for."""
    host = await serve(_app("unknown_route"))

    _assert_empty(400, await ask(host.url, "GET", "/api/sessions/%00"))


@pytest.mark.parametrize(("prefix", "target"), [("v1", "/v1/health"), ("", "/health")], ids=["other", "none"])
async def test_route_prefix_of_host_json_is_used(serve: Serve, prefix: str, target: str) -> None:
    """The route prefix comes from host.json, and then `api` is a path like any other."""
    host = await serve(_app(), {"extensions": {"http": {"routePrefix": prefix}}})

    assert (await ask(host.url, "GET", target)).body == b"health"
    _assert_empty(404, await ask(host.url, "GET", "/api/health"))
