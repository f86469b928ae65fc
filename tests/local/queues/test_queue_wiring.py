"""The pump between the broker's own queue and its own function."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.queues import MemorySource, QueuePump, queue_pump
from shared.app import install
from shared.events.publisher import MemoryPublisher
from shared.queues.memory import MemoryQueue
from tests.collect_result.workshop import FailingQueue, FailingStore
from tests.support.broker import Broker, running_broker

HOST_JSON: dict[str, Any] = json.loads((Path(__file__).parents[3] / "host.json").read_text())
RETRY_SECONDS = 300


def pump_of(broker: Broker) -> tuple[QueuePump, MemorySource]:
    assert isinstance(broker.app.queue, MemoryQueue)
    source = MemorySource(broker.app.queue)
    return queue_pump(broker.app, broker.host, HOST_JSON, source=source), source


async def test_result_that_a_phone_has_seen_is_published_at_once() -> None:
    """The message that the phone's poll sent reaches the function, which publishes the event."""
    async with running_broker() as broker:
        pump = queue_pump(broker.app, broker.host, HOST_JSON)
        session = await broker.created(clientReference="order:1")
        await broker.perform(session)
        await broker.result(session)

        assert await pump.drain() == 1
        assert isinstance(broker.app.publisher, MemoryPublisher)
        [event] = broker.app.publisher.events
        assert event["data"]["clientReference"] == "order:1"


async def test_session_that_nobody_asks_for_ends_with_its_sweep() -> None:
    """The message that the create sent shows when the token has expired, and not before."""
    async with running_broker() as broker:
        pump, _ = pump_of(broker)
        session = await broker.created(authTokenTimeToLiveInSeconds=60)
        await broker.perform(session)
        assert await pump.drain() == 0

        broker.clock.advance_seconds(600)

        assert await pump.drain() == 1
        assert isinstance(broker.app.publisher, MemoryPublisher)
        assert [event["subject"] for event in broker.app.publisher.events] == [session["sessionId"]]


async def test_message_that_nobody_can_read_is_poison_as_host_json_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Eight deliveries, five minutes apart, then it is in the poison queue."""
    async with running_broker() as broker:
        pump, source = pump_of(broker)
        await broker.app.queue.send("{}", 0)
        deliveries = []
        for _ in range(9):
            deliveries.append(await pump.drain())
            broker.clock.advance_seconds(RETRY_SECONDS)

    assert deliveries == [1] * 8 + [0]
    assert [message.text for message in source.poisoned.messages] == ["{}"]
    assert "goes to liveness-results-poison" in caplog.text


async def test_store_and_queue_are_down_for_half_an_hour_nothing_is_poison() -> None:
    """A run can do nothing then, not even put its message back: the host's own tries last until it can."""
    store = FailingStore()
    async with running_broker(store=store) as broker:
        pump, source = pump_of(broker)
        session = await broker.created("sim-realface")
        await broker.perform(session)
        broker.clock.advance_seconds(800)
        install(replace(broker.app, queue=FailingQueue(broker.clock, down=True)))
        store.calls_left = 0

        deliveries = 0
        for _ in range(30):
            deliveries += await pump.drain()
            broker.clock.advance_seconds(60)
        install(broker.app)
        store.calls_left = None
        broker.clock.advance_seconds(RETRY_SECONDS)
        await pump.drain()

        assert isinstance(broker.app.publisher, MemoryPublisher)
        assert deliveries > 1
        assert [event["subject"] for event in broker.app.publisher.events] == [session["sessionId"]]
        assert source.poisoned.messages == []
