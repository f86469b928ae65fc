"""Reading the functions out of a function app."""

from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest

from local.host.indexing import IndexingError, index
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
        "async def": app.route(),
    }

    async def reads(req: func.HttpRequest, context: func.Context) -> str:
        return ""

    def blocks(req: func.HttpRequest) -> str:
        return ""

    functions: dict[str, Callable[..., Any]] = {"blobTrigger": echo, "async def": blocks}
    made = functions.get(feature, reads)
    add[feature](app.route()(made) if feature == "queue" else made)
    return app


@pytest.mark.parametrize("feature", ["blobTrigger", "queue", "context", "async def"])
def test_feature_that_the_host_lacks_is_refused_with_the_function_name(feature: str) -> None:
    """An unknown trigger, another binding, a context parameter and a `def` fail with the function's name."""
    with pytest.raises(IndexingError, match=rf"'(reads|echo|blocks)'.*{feature}"):
        index(_app_with(feature))
