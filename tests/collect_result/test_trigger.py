"""The queue trigger behind the host: unusable messages, poison messages, and the trace of a request."""

import json
import logging
from dataclasses import replace

import pytest

from shared.app import install
from shared.errors import StorageUnavailable
from shared.queues.message import CollectMessage, id_of_text
from tests.collect_result.draining import collect_all, deliver, memory_queue, waiting_messages
from tests.support.broker import running_broker
from tests.support.publisher import FakePublisher
from tests.support.queue import FakeQueue


async def test_unusable_message_is_raised_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The host moves it to the poison queue in the end; the log says which message it is and why."""
    async with running_broker() as broker:
        with pytest.raises(ValueError, match="the message names no session"):
            await deliver(broker, "{}", dequeue_count=3)

        [line] = [record.message for record in caplog.records if "message_unusable" in record.message]
        assert json.loads(line) == {
            "event": "message_unusable",
            "messageId": id_of_text("{}"),
            "dequeueCount": 3,
            "reason": "the message names no session",
        }
        assert waiting_messages(broker) == []


@pytest.mark.parametrize("way", ["sweep", "poll"])
async def test_trace_of_the_create_reaches_the_event(way: str, caplog: pytest.LogCaptureFixture) -> None:
    """The `traceparent` of the create is in each message, also one put back, in the log line and in the event."""
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    publisher = FakePublisher()
    async with running_broker() as broker:
        install(replace(broker.app, publisher=publisher))
        created = await broker.http.post(
            "/api/sessions",
            json={"livenessOperationMode": "Passive", "deviceCorrelationId": "sim-realface"},
            headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"},
        )
        session = created.json()
        [sweep] = waiting_messages(broker)
        await deliver(broker, sweep.text)
        waiting_messages(broker).remove(sweep)
        await broker.perform(session)
        if way == "poll":
            waiting_messages(broker).clear()
            await broker.result(session)
        [sent] = [CollectMessage.from_text(message.text) for message in waiting_messages(broker)]
        with caplog.at_level(logging.INFO):
            await collect_all(broker)

    [event] = publisher.events
    [line] = [json.loads(r.message) for r in caplog.records if "event_published" in r.message]
    traces = [sent.traceparent, event["traceparent"], line["traceparent"]]
    assert sent.reason == way
    assert [(trace or "").split("-")[1] for trace in traces] == [trace_id] * 3


async def test_message_that_cannot_be_put_back_fails_at_the_host() -> None:
    """The trigger does not hide the error, so that the host delivers the message again."""
    async with running_broker() as broker:
        await broker.created()
        [sweep] = waiting_messages(broker)
        queue = FakeQueue(memory_queue(broker))
        queue.fail("send", StorageUnavailable("the queue is down"))
        install(replace(broker.app, queue=queue))

        with pytest.raises(StorageUnavailable):
            await deliver(broker, sweep.text)
        assert [call.patient for call in queue.calls] == [True]


async def test_line_that_was_late_is_written_by_the_next_message(caplog: pytest.LogCaptureFixture) -> None:
    """The host would have dropped it."""
    async with running_broker() as broker:
        await broker.created()
        [sweep] = waiting_messages(broker)
        broker.app.background_log.keep(logging.getLogger("shared"), logging.WARNING, {"event": "late"})
        await deliver(broker, sweep.text)
    assert '{"event": "late", ' in caplog.text
