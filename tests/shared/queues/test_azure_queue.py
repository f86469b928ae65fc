"""Azure Queue Storage: the requests, and the error for each failure."""

import asyncio
import base64
import re
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, nullcontext

import pytest
from azure.core.exceptions import ServiceResponseTimeoutError

from shared.errors import StorageUnavailable
from shared.queues.port import MAX_DELAY_SECONDS, MessageQueue
from shared.storage.account import LARGEST_QUEUE_ANSWER, StorageAccount
from shared.text import Sleep
from tests.support.azurite import Azurite
from tests.support.raw_server import KEY, RESET, TOO_SLOW, RawServer, Step, answer, silent_for_a_minute

NOW = "Mon, 23 Nov 2026 09:52:00 GMT"
MESSAGE = (
    f"<MessageId>1</MessageId><InsertionTime>{NOW}</InsertionTime><ExpirationTime>{NOW}</ExpirationTime>"
    f"<PopReceipt>2</PopReceipt><TimeNextVisible>{NOW}</TimeNextVisible>"
)
CREATED = answer(
    201,
    f"<QueueMessagesList><QueueMessage>{MESSAGE}</QueueMessage></QueueMessagesList>",
    {"Content-Type": "application/xml"},
)


async def no_pause(_seconds: float) -> None:
    """Try again at once."""


def error(status: int, code: str) -> bytes:
    """Make an error response in the shape of the queue service."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>a message</Message></Error>'
    return answer(status, body, {"Content-Type": "application/xml", "x-ms-error-code": code})


@asynccontextmanager
async def queue_at(
    server: RawServer, *, create: bool = False, sleep: Sleep = no_pause
) -> AsyncIterator[MessageQueue]:
    text = server.connection_string.replace("TableEndpoint", "QueueEndpoint")
    account = StorageAccount(connection_string=text, create_missing=create)
    # A loaded machine is slow: only `TOO_SLOW` is.
    async with aclosing(account.open_queue("q", deadline=30, sleep=sleep)) as queue:
        yield queue


async def failed_send(*answers: Step) -> tuple[StorageUnavailable, list[str]]:
    """Send to a service with these answers; return the error, and the methods of the requests."""
    async with RawServer(*answers) as server, queue_at(server) as queue:
        with pytest.raises(StorageUnavailable) as unavailable:
            await queue.send("a", 0)
    return unavailable.value, server.methods()


async def test_client_of_the_sdk_gives_up_in_time() -> None:
    """The commands of operators call it without a deadline of their own."""
    async with RawServer(silent_for_a_minute) as server:
        account = StorageAccount(connection_string=server.connection_string.replace("Table", "Queue"))
        async with account.queue_client("q", deadline=30) as client, asyncio.timeout(61):
            with pytest.raises(ServiceResponseTimeoutError):
                await client.get_queue_properties()


async def test_text_is_base64_on_the_wire(azurite: Azurite, name: str) -> None:
    """The trigger of the Functions host accepts nothing else (`messageEncoding` in host.json)."""
    async with aclosing(azurite.account.open_queue(name)) as queue:
        await queue.send('{"é": 1}', 0)

    async with azurite.account.queue_client(name, encoded=False) as raw:
        [message] = await raw.peek_messages(max_messages=32)
    assert base64.b64decode(message.content, validate=True).decode() == '{"é": 1}'


@pytest.mark.parametrize(
    ("delay", "seconds"), [(0, 0), (-1, 0), (605, 605), (605.4, 605), (605.6, 606), (1e9, MAX_DELAY_SECONDS)]
)
async def test_message_has_a_delay_in_whole_seconds_and_never_expires(delay: float, seconds: int) -> None:
    """The delay is one that the service takes: https://learn.microsoft.com/rest/api/storageservices/put-message.

    By default a queue drops a message after a week, and with it the event of its session.
    """
    async with RawServer(CREATED) as server, queue_at(server) as queue:
        await queue.send("a", delay)

    [request] = server.received
    assert re.findall(r"visibilitytimeout=(\d+)", request.path) == [str(seconds)]
    assert 0 <= seconds < 7 * 86_400
    assert "messagettl=-1" in request.path


async def test_missing_queue_is_not_created_in_azure(azurite: Azurite, name: str) -> None:
    account = StorageAccount(connection_string=azurite.connection_string)
    async with aclosing(account.open_queue(name)) as queue:
        for call in (queue.send("a", 0), queue.check()):
            with pytest.raises(StorageUnavailable, match="does not exist; the deployment creates it"):
                await call


async def test_queue_is_created_only_if_it_is_missing() -> None:
    replies = error(404, "QueueNotFound"), answer(201), CREATED, CREATED
    async with RawServer(*replies) as server, queue_at(server, create=True) as queue:
        await queue.send("a", 0)
        await queue.send("b", 0)

    assert server.methods() == ["POST", "PUT", "POST", "POST"]


@pytest.mark.parametrize(
    ("reply", "detail", "tries"),
    [
        (error(401, "NoAuthenticationInformation"), "Storage Queue Data Contributor", 1),
        (error(403, "AuthorizationFailure"), "network rules have to admit the app", 1),
        (error(404, "QueueNotFound"), "the queue does not exist; the deployment creates it", 1),
        (error(409, "QueueBeingDeleted"), "the queue service answered 409", 2),
        (error(503, "ServerBusy"), "the queue service answered 503", 2),
        (answer(307, "", {"Location": "http://127.0.0.1:1/"}), "the queue service answered 307", 2),
        (answer(500, "<html>"), "the queue service .*", 2),
        (RESET, "the queue service did not answer usably: ConnectionBroken", 2),
        (TOO_SLOW, "the queue service did not answer (in time|usably: SocketTimeoutError)", 2),
    ],
)
async def test_message_is_sent_twice_at_most_and_once_where_the_app_is_refused(
    reply: Step, detail: str, tries: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The error tells the operator what to do, and shows neither the account's key nor a signature made with it."""
    caplog.set_level("DEBUG")

    unavailable, calls = await failed_send(reply, reply)

    assert re.search(detail, unavailable.detail)
    assert calls == ["POST"] * tries
    assert unavailable.lasting == (tries == 1)
    told = "".join(traceback.format_exception(unavailable)) + caplog.text
    assert KEY not in told
    assert "SharedKey" not in told


@pytest.mark.parametrize("page", ["<html>Please sign in", "x" * (LARGEST_QUEUE_ANSWER + 1), ""])
async def test_answer_of_something_else_is_no_queue(page: str) -> None:
    """A status alone proves nothing: the queue service counts messages, and gives a message an id."""
    for status in (200, 201):
        reply = answer(status, page, {"Content-Type": "text/html"})
        async with RawServer(reply) as server, queue_at(server) as queue:
            for call in (queue.check(), queue.send("a", 0)):
                with pytest.raises(StorageUnavailable):
                    await call


@pytest.mark.parametrize("trouble", [RESET, TOO_SLOW], ids=["reset", "hang"])
async def test_message_arrives_where_the_first_try_fails(
    monkeypatch: pytest.MonkeyPatch, trouble: Step
) -> None:
    """A connection that was just being closed, or a stall, costs no create and no event.

    Nor has a failure a lasting effect. Messages go to the account, not to a proxy of the environment.
    """
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    busy = error(503, "ServerBusy")
    async with RawServer(trouble, busy, busy, CREATED) as server, queue_at(server) as queue:
        with pytest.raises(StorageUnavailable):
            await queue.send("a", 0)
        await queue.send("a", 0)

    assert server.methods() == ["POST"] * 4


def busy(retry_after: str) -> bytes:
    return answer(503, "", {"Date": NOW, "Retry-After": retry_after})


@pytest.mark.parametrize(
    ("replies", "patient", "pauses"),
    [
        ([busy("1")], False, [0.2]),
        ([busy("20")], False, [0.2]),
        ([busy("x")], True, [1.0, 3.0, 6.0]),
        ([busy("4"), busy("20"), error(403, "AuthorizationFailure")], True, [4.0, 6.0]),
        ([RESET, busy("x"), busy("x"), CREATED], True, [1.0, 3.0, 6.0]),
        ([CREATED], True, []),
    ],
    ids=["create", "create does not wait long", "put back", "as asked, then refused", "comes back", "well"],
)
async def test_pauses_between_tries_grow_where_nobody_waits(
    replies: list[Step], patient: bool, pauses: list[float]
) -> None:
    """A queue that is busy for some seconds costs no message of the collector, and a phone waits a moment only."""
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    async with RawServer(*replies) as server, queue_at(server, sleep=pause) as queue:
        with nullcontext() if replies[-1] == CREATED else pytest.raises(StorageUnavailable):
            await queue.send("a", 0, patient=patient)

    assert paused == pauses
    assert len(server.received) == len(pauses) + 1


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("Mon, 23 Nov 2026 09:52:30 GMT", 30), ("x", 1)])
async def test_retry_after_reaches_the_caller(header: str, seconds: float) -> None:
    unavailable, _ = await failed_send(busy(header))
    assert unavailable.retry_after == seconds
