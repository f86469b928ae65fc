"""Reading the functions out of a function app."""

import asyncio
import threading
from typing import Any

import azure.functions as func
import pytest

from local.host import HttpFunction, IndexingError, QueueFunction, TimerFunction
from local.host.indexing import IndexedFunction, index
from tests.local.host.client import anonymous_app, echo


def test_blueprint_functions_of_every_kind_are_read() -> None:
    """Functions of a blueprint are found with their triggers, whatever their kind."""
    blueprint = func.Blueprint()

    @blueprint.route("sessions/{sessionId}", methods=["get", "DELETE"], auth_level="function")
    async def session(req: func.HttpRequest) -> str:
        return ""

    @blueprint.function_name("collect_result")
    @blueprint.queue_trigger("message", queue_name="%RESULTS_QUEUE%", connection="AzureWebJobsStorage")
    async def collect(message: func.QueueMessage) -> None: ...

    @blueprint.timer_trigger("timer", schedule="0 0 3 * * *")
    async def purge(timer: func.TimerRequest) -> None: ...

    app = anonymous_app()
    app.register_functions(blueprint)
    found = index(app)

    [http], [queue], [timer] = found.http, found.queues, found.timers
    methods = frozenset({"GET", "DELETE"})
    assert http == HttpFunction(
        "session", http.user_function, "req", "sessions/{sessionId}", methods, func.AuthLevel.FUNCTION
    )
    assert queue == QueueFunction(
        "collect_result", queue.user_function, "message", "%RESULTS_QUEUE%", "AzureWebJobsStorage"
    )
    assert timer == TimerFunction("purge", timer.user_function, "timer", "0 0 3 * * *")
    assert [each.user_function.__name__ for each in (http, queue, timer)] == ["session", "collect", "purge"]


@pytest.mark.parametrize(
    ("app", "level"),
    [
        (func.FunctionApp(http_auth_level=func.AuthLevel.ADMIN), func.AuthLevel.ADMIN),
        (func.FunctionApp(), func.AuthLevel.FUNCTION),
    ],
    ids=["level of the app", "default level"],
)
def test_route_without_options_takes_the_defaults_of_the_decorators(
    app: func.FunctionApp, level: func.AuthLevel
) -> None:
    """The route is the function's name then, any method is taken, and the app's auth level counts."""
    app.route()(echo)

    (function,) = index(app).http

    assert (function.route, function.methods, function.auth_level) == ("echo", None, level)


def test_parameter_name_of_the_binding_is_kept() -> None:
    """The argument is passed under the name that the binding gives it."""
    app = anonymous_app()

    @app.route(trigger_arg_name="request")
    async def named(request: func.HttpRequest) -> str:
        return ""

    assert [function.parameter for function in index(app).http] == ["request"]


def test_functions_come_in_the_order_of_their_names() -> None:
    """The order in the file does not show."""
    app = anonymous_app()
    for name in ("zebra", "Middle", "alpha"):
        app.function_name(name)(app.route()(_named(name)))

    assert [function.name for function in index(app).http] == ["alpha", "Middle", "zebra"]


def test_app_indexed_twice_gives_the_same_functions() -> None:
    """A second look at an app finds what the first did, though `azure.functions` remembers the names."""
    app = anonymous_app()
    app.route()(echo)

    assert index(app) == index(app)


def test_name_used_twice_is_refused() -> None:
    """Two functions of one name fail, and the message tells the name."""
    app = anonymous_app()
    app.route("a")(_named("twin"))
    app.route("b")(_named("twin"))

    with pytest.raises(ValueError, match="twin"):
        index(app)


@pytest.mark.parametrize("feature", ["blobTrigger", "queue", "context"])
def test_feature_that_the_host_lacks_is_refused_with_the_function_name(feature: str) -> None:
    """An unknown trigger, another binding and a context parameter fail with the function's name."""
    app = anonymous_app()
    if feature == "blobTrigger":

        @app.blob_trigger("blob", path="results/{name}", connection="AzureWebJobsStorage")
        def reads(blob: func.InputStream) -> None: ...

    elif feature == "queue":

        @app.route()
        @app.queue_output("out", queue_name="results", connection="AzureWebJobsStorage")
        def reads(req: func.HttpRequest, out: func.Out[str]) -> str:
            return ""

    else:

        @app.route()
        def reads(req: func.HttpRequest, context: func.Context) -> str:
            return ""

    with pytest.raises(IndexingError, match=rf"'reads'.*{feature}"):
        index(app)


async def test_sync_function_runs_in_a_thread() -> None:
    """A `def` function that waits does not block the event loop, which here ends the wait."""
    released = threading.Event()

    def wait(trigger: object) -> int:
        released.wait()
        return threading.get_ident()

    async def on_loop(trigger: object) -> int:
        return threading.get_ident()

    waiting = asyncio.create_task(IndexedFunction("wait", wait, "trigger").call(None, None))
    on_loop_ident = await IndexedFunction("on_loop", on_loop, "trigger").call(None, None)
    released.set()

    assert on_loop_ident == threading.get_ident() != await waiting


def _named(name: str) -> Any:  # noqa: ANN401 - a function.
    def function(req: func.HttpRequest) -> str:
        return name

    function.__name__ = name
    return function
