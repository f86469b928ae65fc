"""What the engine does with small apps: so that what it accepts from the real one means something."""

import sys
from pathlib import Path

import pytest

from tests.support.engine import Engine, EngineFailure, start_engine

SAMPLE = """
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
seen = []


@app.route(route="echo/{what}")
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    parts = (req.method, req.url, req.headers["X-Name"], req.params["q"], req.route_params["what"], req.get_body())
    return func.HttpResponse(repr(parts), status_code=202, headers={"X-Own": "own"})


@app.route(route="repeated")
async def repeated(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse("")
    response.headers.add("Link", "a")
    response.headers.add("Link", "b")
    return response


@app.route(route="text")
async def text(req: func.HttpRequest) -> str:
    return "text"


@app.route(route="raises")
async def raises(req: func.HttpRequest) -> func.HttpResponse:
    raise LookupError("what the host logs")


@app.queue_trigger(arg_name="message", queue_name="%A_QUEUE%", connection="AzureWebJobsStorage")
async def collect(message: func.QueueMessage) -> None:
    seen.append((message.get_body(), message.dequeue_count))
    if message.dequeue_count > 1:
        raise LookupError("the second time")
"""


@pytest.fixture
async def sample(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    (tmp_path / "sample_app.py").write_text(SAMPLE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sample_app", raising=False)
    monkeypatch.setenv("PYTHON_SCRIPT_FILE_NAME", "sample_app.py")
    return await start_engine(tmp_path)


async def test_request_arrives_with_all_its_parts(sample: Engine) -> None:
    """Method, URL, header fields, query, route parameters and body reach the function; its answer comes back."""
    answer = await sample.http(
        "echo",
        "PUT",
        "https://broker.example/api/echo/this",
        headers={"X-NAME": "name"},
        params={"q": "query"},
        route_params={"what": "this"},
        body=b"body",
    )

    seen = ("PUT", "https://broker.example/api/echo/this", "name", "query", "this", b"body")
    assert (202, repr(seen).encode()) == (answer.status, answer.body)
    assert answer.header("x-own") == "own"
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"


async def test_repeated_header_keeps_its_last_value_only(sample: Engine) -> None:
    """The engine drops repeats, so the broker must not answer with any."""
    answer = await sample.http("repeated", "GET", "https://broker.example/api/repeated")

    assert answer.header("Link") == "b"


async def test_function_that_answers_no_response_is_a_failure(sample: Engine) -> None:
    """The engine would take a text: the broker's functions may not answer one."""
    with pytest.raises(EngineFailure, match="text did not answer with an HttpResponse"):
        await sample.http("text", "GET", "https://broker.example/api/text")


async def test_function_that_raises_is_a_failure(sample: Engine) -> None:
    """What a function raises is what the host is told."""
    with pytest.raises(EngineFailure, match="LookupError: what the host logs"):
        await sample.http("raises", "GET", "https://broker.example/api/raises")


async def test_queue_message_arrives_with_its_dequeue_count(sample: Engine) -> None:
    """A function behind a queue sees text and dequeue count, and its failure is told to the host."""
    await sample.queue("collect", "a message")
    with pytest.raises(EngineFailure, match="LookupError: the second time"):
        await sample.queue("collect", "a message", dequeue_count=2)

    assert sys.modules["sample_app"].seen == [(b"a message", 1), (b"a message", 2)]
    assert {"queueName": "%A_QUEUE%", "connection": "AzureWebJobsStorage"}.items() <= sample.function(
        "collect"
    ).trigger.items()
