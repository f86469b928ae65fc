"""Reading the functions out of a function app."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest

from local.host.indexing import IndexedFunction, IndexingError, index
from tests.local.host.client import anonymous_app, echo


def test_blueprint_functions_of_every_kind_are_read() -> None:
    """Functions of a blueprint are found with their triggers, whatever their kind; a second look is the same."""
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

    expected: list[tuple[str, str, dict[str, Any]]] = [
        ("session", "session", {"name": "req", "route": "sessions/{sessionId}", "authLevel": "FUNCTION"}),
        ("collect_result", "collect", {"name": "message", "queueName": "%RESULTS_QUEUE%"}),
        ("purge", "purge", {"name": "timer", "schedule": "0 0 3 * * *"}),
    ]
    for function, (name, code, trigger) in zip(found, expected, strict=True):
        assert (function.name, function.user_function.__name__) == (name, code)
        assert trigger.items() <= function.trigger.items()
    assert set(found[0].trigger["methods"]) == {"GET", "DELETE"}
    assert index(app) == found


def _app_with(feature: str) -> func.FunctionApp:
    app = anonymous_app()
    add: dict[str, Callable[[Callable[..., Any]], object]] = {
        "blobTrigger": app.blob_trigger("req", path="results/{name}", connection="AzureWebJobsStorage"),
        "queue": app.queue_output("out", queue_name="results", connection="AzureWebJobsStorage"),
        "context": app.route(),
    }

    def reads(req: func.HttpRequest, context: func.Context) -> str:
        return ""

    add[feature](echo if feature == "blobTrigger" else app.route()(reads) if feature == "queue" else reads)
    return app


@pytest.mark.parametrize("feature", ["blobTrigger", "queue", "context"])
def test_feature_that_the_host_lacks_is_refused_with_the_function_name(feature: str) -> None:
    """An unknown trigger, another binding and a context parameter fail with the function's name."""
    with pytest.raises(IndexingError, match=rf"'(reads|echo)'.*{feature}"):
        index(_app_with(feature))


async def test_sync_function_runs_in_a_thread() -> None:
    """A `def` function that waits does not block the event loop, which here ends the wait."""
    released = threading.Event()

    def wait(trigger: object) -> int:
        released.wait()
        return threading.get_ident()

    async def on_loop(trigger: object) -> int:
        return threading.get_ident()

    def call(function: Callable[..., object]) -> asyncio.Task[object]:
        indexed = IndexedFunction("a-function", function, {"name": "trigger"})
        return asyncio.create_task(indexed.call(None, timeout=60))

    waiting = call(wait)
    on_loop_ident = await call(on_loop)
    released.set()

    assert on_loop_ident == threading.get_ident() != await waiting
