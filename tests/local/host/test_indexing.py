"""Reading the functions out of a function app."""

import asyncio
import threading

import azure.functions as func
import pytest

from local.host.indexing import (
    HttpFunction,
    IndexedFunction,
    IndexingError,
    QueueFunction,
    TimerFunction,
    index,
)
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
    assert queue == QueueFunction("collect_result", queue.user_function, "message", "%RESULTS_QUEUE%")
    assert timer == TimerFunction("purge", timer.user_function, "timer")
    assert [each.user_function.__name__ for each in (http, queue, timer)] == ["session", "collect", "purge"]


def test_route_without_options_takes_the_defaults_of_the_decorators() -> None:
    """The route is the function's name then, any method is taken, and a key is needed; a second look is the same."""
    app = func.FunctionApp()
    app.route(trigger_arg_name="req")(echo)

    (function,) = index(app).http

    assert (function.route, function.methods, function.auth_level) == ("echo", None, func.AuthLevel.FUNCTION)
    assert index(app).http == (function,)


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
