"""How functions are run: threads, time-outs, limits on requests, context, queue messages."""

import asyncio
import threading
from collections import Counter

import azure.functions as func
import pytest

from local.host import Host
from tests.local.host.host_client import Serve, anonymous_app, ask


async def test_sync_function_runs_in_a_thread_and_does_not_hold_up_the_loop(serve: Serve) -> None:
    """While a `def` function waits, an `async def` one answers, and may end the wait."""
    app = anonymous_app()
    released = threading.Event()

    @app.route("wait")
    def wait(req: func.HttpRequest) -> str:
        released.wait()
        return str(threading.get_ident())

    @app.route("release")
    async def release(req: func.HttpRequest) -> str:
        released.set()
        return str(threading.get_ident())

    host = await serve(app)
    waiting = asyncio.create_task(ask(host.url, "GET", "/api/wait"))
    on_loop = await ask(host.url, "GET", "/api/release")
    in_thread = await waiting

    assert str(threading.get_ident()).encode() == on_loop.body
    assert in_thread.body not in {b"", on_loop.body}


@pytest.mark.parametrize("header", ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ""])
async def test_context_is_passed_to_a_function_that_declares_it(serve: Serve, header: str) -> None:
    """A parameter `context` gets the function's name, a new id, and a place in the caller's trace."""
    app = anonymous_app()
    seen: list[func.Context] = []

    @app.route("with_context")
    async def with_context(req: func.HttpRequest, context: func.Context) -> str:
        seen.append(context)
        return ""

    host = await serve(app)
    for _ in range(2):
        assert (await ask(host.url, "GET", "/api/with_context", [("traceparent", header)])).status == 200

    first, second = seen
    version, trace_id, span_id, _flags = first.trace_context.trace_parent.split("-")
    assert first.function_name == "with_context"
    assert first.invocation_id != second.invocation_id
    assert (version, len(trace_id), len(span_id)) == ("00", 32, 16)
    assert not header or trace_id == header.split("-")[1]
    assert span_id not in header
    assert first.retry_context.retry_count == 0


async def test_call_longer_than_the_function_timeout_is_500(serve: Serve) -> None:
    """A call that outlasts `functionTimeout` is cancelled: an empty 500, and the next call is served."""
    app = anonymous_app()
    cancelled: list[bool] = []

    @app.route("late")
    async def late(req: func.HttpRequest) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return ""

    @app.route("prompt")
    async def prompt(req: func.HttpRequest) -> str:
        return "here"

    host = await serve(app, {"functionTimeout": "00:00:00.02"})
    answer = await ask(host.url, "GET", "/api/late")

    assert (answer.status, answer.body, cancelled) == (500, b"", [True])
    assert (await ask(host.url, "GET", "/api/prompt")).body == b"here"


async def test_requests_beyond_the_outstanding_ones_are_429(serve: Serve) -> None:
    """Of twelve at once, with four concurrent and six outstanding, six are answered and six refused."""
    app = anonymous_app()
    refused = asyncio.Event()
    running: list[int] = [0]
    most: list[int] = [0]

    @app.route("work")
    async def work(req: func.HttpRequest) -> str:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await refused.wait()
        running[0] -= 1
        return ""

    async def one() -> int:
        answer = await ask(host.url, "GET", "/api/work")
        statuses.append(answer.status)
        if statuses.count(429) == 6:
            refused.set()
        return answer.status

    statuses: list[int] = []
    limits = {"maxConcurrentRequests": 4, "maxOutstandingRequests": 6}
    host = await serve(app, {"extensions": {"http": limits}})
    await asyncio.gather(*(one() for _ in range(12)))

    assert dict(Counter(statuses)) == {200: 6, 429: 6}
    assert most == [4]
    assert (await ask(host.url, "GET", "/api/work")).status == 200


async def test_queue_function_gets_the_message() -> None:
    """A queue function is called with the message's text, id and dequeue count."""
    app = anonymous_app()
    seen: list[tuple[str | None, bytes, int | None]] = []

    @app.queue_trigger("message", queue_name="results", connection="AzureWebJobsStorage")
    async def collect(message: func.QueueMessage) -> None:
        seen.append((message.id, message.get_body(), message.dequeue_count))

    host = Host(app, {}, function_key="f", master_key="m")
    await host.invoke_queue("collect", "é", dequeue_count=3, message_id="id-1")

    assert [("id-1", "é".encode(), 3)] == seen


async def test_queue_function_that_fails_raises_to_the_caller() -> None:
    """The reader of the queue learns of a failure, and can count it."""
    app = anonymous_app()

    @app.queue_trigger("message", queue_name="results", connection="AzureWebJobsStorage")
    def collect(message: func.QueueMessage) -> None:
        raise RuntimeError("not yet")

    host = Host(app, {}, function_key="f", master_key="m")

    with pytest.raises(RuntimeError, match="not yet"):
        await host.invoke_queue("collect", "", dequeue_count=1, message_id="id-1")


async def test_unknown_queue_function_is_refused() -> None:
    """A name that no queue function has fails with the name."""
    host = Host(anonymous_app(), {}, function_key="f", master_key="m")

    with pytest.raises(LookupError, match="nobody"):
        await host.invoke_queue("nobody", "", dequeue_count=1, message_id="id-1")


async def test_stopped_host_does_not_listen(serve: Serve) -> None:
    """After `stop` nobody answers, and stopping again does nothing."""
    host = await serve(anonymous_app())
    await host.stop()
    await host.stop()

    with pytest.raises(ConnectionRefusedError):
        await ask(host.url, "GET", "/")
