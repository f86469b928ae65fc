"""What is read out of a function app."""

import azure.functions as func
import pytest

from local.host import HttpFunction, IndexingError, QueueFunction, TimerFunction
from local.host.indexing import index
from tests.local.host.host_client import anonymous_app, echo


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

    assert [
        HttpFunction(
            name="session",
            user_function=found.http[0].user_function,
            parameter="req",
            route="sessions/{sessionId}",
            methods=frozenset({"GET", "DELETE"}),
            auth_level=func.AuthLevel.FUNCTION,
        )
    ] == list(found.http)
    assert [
        QueueFunction(
            name="collect_result",
            user_function=found.queues[0].user_function,
            parameter="message",
            queue_name="%RESULTS_QUEUE%",
            connection="AzureWebJobsStorage",
        )
    ] == list(found.queues)
    assert [
        TimerFunction(
            name="purge",
            user_function=found.timers[0].user_function,
            parameter="timer",
            schedule="0 0 3 * * *",
        )
    ] == list(found.timers)
    assert {"session", "collect", "purge"} == {
        function.user_function.__name__ for function in (*found.http, *found.queues, *found.timers)
    }


def test_route_without_options_takes_the_defaults_of_the_decorators() -> None:
    """The route is the function's name then, any method is taken, and the app's auth level counts."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ADMIN)
    app.route()(echo)

    (function,) = index(app).http

    assert (function.route, function.methods, function.auth_level) == ("echo", None, func.AuthLevel.ADMIN)


def test_app_without_auth_level_asks_for_a_function_key() -> None:
    """The decorators' own default is the auth level `function`."""
    app = func.FunctionApp()
    app.route()(echo)

    (function,) = index(app).http

    assert func.AuthLevel.FUNCTION is function.auth_level


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


def test_unknown_trigger_is_refused_with_the_function_name() -> None:
    """A trigger that the host lacks fails with the names of the function and the trigger."""
    app = anonymous_app()

    @app.blob_trigger("blob", path="results/{name}", connection="AzureWebJobsStorage")
    def read_blob(blob: func.InputStream) -> None: ...

    with pytest.raises(IndexingError, match=r"'read_blob'.*'blobTrigger'"):
        index(app)


def test_unknown_binding_is_refused_with_the_function_name() -> None:
    """An output binding that the host lacks fails too: the function would be called without its argument."""
    app = anonymous_app()

    @app.route()
    @app.queue_output("out", queue_name="results", connection="AzureWebJobsStorage")
    def sends(req: func.HttpRequest, out: func.Out[str]) -> str:
        return ""

    with pytest.raises(IndexingError, match=r"'sends'.*'queue'"):
        index(app)


def _named(name: str) -> object:
    def function(req: func.HttpRequest) -> str:
        return name

    function.__name__ = name
    return function
