"""The queue trigger: what it takes, what it refuses, and what that leaves in the log."""

import json
import logging
import re
from dataclasses import replace

import pytest

from collect_result.use_case import MAX_FAILURES
from local.queues import MemorySource, queue_pump
from shared.app import install
from shared.errors import EventsUnavailable, StorageUnavailable
from shared.events.publisher import MemoryPublisher
from shared.queues.message import CollectMessage, Reason
from tests.collect_result.draining import collect_all, deliver, memory_queue, waiting_messages
from tests.collect_result.workshop import FailingPublisher, FailingQueue
from tests.support.broker import running_broker

SESSION_ID = "b12e033e-bda7-4b83-a211-e721c661f30e"


def message(**fields: object) -> str:
    """The text of a message with other fields than a good one has."""
    return json.dumps({"session_id": SESSION_ID, "reason": "sweep"} | fields)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "Expecting value: line 1 column 1 (char 0)", id="empty"),
        pytest.param("not json", "Expecting value: line 1 column 1 (char 0)", id="no json"),
        pytest.param("[]", "the message is not an object", id="no object"),
        pytest.param("{}", "the message names no session", id="no fields"),
        pytest.param(message(session_id="../x"), "the message names no session", id="no session id"),
        pytest.param(message(session_id=4711), "the message names no session", id="number for an id"),
        pytest.param(message(reason="whim"), "the message has no reason that is known", id="reason"),
        pytest.param(message(reason=["sweep"]), "the message has no reason that is known", id="list"),
        pytest.param(message(reason=None), "the message has no reason that is known", id="no reason"),
        pytest.param(message(attempt=-1), "the message has a field of another type", id="attempt"),
        pytest.param(message(attempt=True), "the message has a field of another type", id="truth"),
        pytest.param(message(looks=-1), "the message has a field of another type", id="looks"),
        pytest.param(message(traceparent=1), "the message has a field of another type", id="trace"),
        pytest.param('{"reason": "sweep", "reason": "poll"}', "duplicate names", id="twice"),
        pytest.param("[" * 100_000, "nested too deep", id="deep"),
    ],
)
async def test_message_that_nobody_can_use_is_raised_and_logged(
    text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It raises, so that the host ends up keeping it as poison; the log says which one and why."""
    async with running_broker() as broker:
        with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match=re.escape(reason)):
            await deliver(broker, text, dequeue_count=3)

        [line] = [record.message for record in caplog.records if "message_unusable" in record.message]
        assert json.loads(line) == {
            "event": "message_unusable",
            "messageId": "a-message",
            "dequeueCount": 3,
            "reason": reason,
        }
        assert waiting_messages(broker) == []


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("traceparent", [None, "00-" + "1" * 32 + "-" + "2" * 16 + "-00"])
def test_message_survives_the_queue(reason: Reason, traceparent: str | None) -> None:
    """What is sent is what is read."""
    sent = CollectMessage(SESSION_ID, reason, 7, traceparent, 8)

    assert CollectMessage.from_text(sent.to_text()) == sent


def test_message_of_an_earlier_version_is_read() -> None:
    """Fields with a default may be missing, and fields that are not known do not matter."""
    text = message(color="green")

    assert CollectMessage.from_text(text) == CollectMessage(SESSION_ID, Reason.SWEEP, 0, None, 0)


async def test_message_put_back_keeps_its_trace() -> None:
    """The trace of the request that began it goes along."""
    async with running_broker() as broker:
        await broker.created()
        [sweep] = waiting_messages(broker)

        await deliver(broker, sweep.text)

        again = CollectMessage.from_text(waiting_messages(broker)[-1].text)
        assert again == CollectMessage.from_text(sweep.text).after_look()
        assert again.traceparent is not None


async def test_message_that_is_given_up_is_kept_as_poison() -> None:
    """The host delivers it some times more, as it does with all that raise."""
    async with running_broker() as broker:
        session = await broker.created("sim-realface")
        await broker.perform(session)
        publisher = FailingPublisher()
        publisher.failures.extend([EventsUnavailable("too large", lasting=True)] * 8)
        install(replace(broker.app, publisher=publisher))
        queue = memory_queue(broker)
        queue.messages.clear()
        await queue.send(message(session_id=session["sessionId"], attempt=MAX_FAILURES - 1), 0)
        source = MemorySource(queue)
        pump = queue_pump(
            broker.app, broker.host, {"extensions": {"queues": {"maxDequeueCount": 8}}}, source=source
        )

        delivered = await pump.drain()

        assert delivered == 8
        assert (len(queue.messages), len(source.poisoned.messages)) == (0, 1)


@pytest.mark.parametrize("way", ["sweep", "poll"])
async def test_trace_of_the_create_ends_in_the_event(way: str, caplog: pytest.LogCaptureFixture) -> None:
    """A business that sends `traceparent` finds it in each message that leads to the event, in the log, and in it."""
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with running_broker() as broker:
        publisher = MemoryPublisher()
        install(replace(broker.app, publisher=publisher))
        created = await broker.http.post(
            "/api/sessions",
            json={"livenessOperationMode": "Passive", "deviceCorrelationId": "sim-realface"},
            headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"},
        )
        session = created.json()
        await broker.perform(session)
        [sweep] = waiting_messages(broker)
        if way == "poll":
            await broker.result(session)
            waiting_messages(broker).remove(sweep)
        [sent] = [CollectMessage.from_text(message.text) for message in waiting_messages(broker)]
        with caplog.at_level(logging.INFO):
            await collect_all(broker)

    [event] = publisher.events
    [line] = [json.loads(r.message) for r in caplog.records if "event_published" in r.message]
    assert sent.reason == way
    assert [trace_of(text) for text in (sent.traceparent, event["traceparent"], line["traceparent"])] == [
        trace_id
    ] * 3


def trace_of(traceparent: str | None) -> str:
    """The id of the trace, which all of its spans share."""
    return (traceparent or "").split("-")[1]


async def test_nothing_can_be_stored_the_failure_is_the_hosts() -> None:
    """The trigger does not hide that a message could not be put back."""
    async with running_broker() as broker:
        session = await broker.created()
        install(replace(broker.app, queue=FailingQueue(broker.clock, down=True)))

        with pytest.raises(StorageUnavailable):
            await deliver(broker, message(session_id=session["sessionId"]))
