"""The queue pump, over a queue in memory and over Azurite."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.queues import MemorySource, QueuePump, TakenMessage, queue_pump
from shared.app import install
from shared.errors import StorageUnavailable
from shared.events.publisher import MemoryPublisher
from shared.queues.memory import MemoryQueue
from tests.local.queues.conftest import Fed
from tests.local.queues.doubles import OPTIONS, EndlessSource, QueueFunction
from tests.support.broker import Broker, running_broker
from tests.support.queue import FakeQueue
from tests.support.store import FakeStore
from tests.support.time import FakeClock, run_in_virtual_time, virtual_clock

HOST_JSON: dict[str, Any] = json.loads((Path(__file__).parents[3] / "host.json").read_text())
RETRY_SECONDS = 300


async def test_processed_message_is_delivered_once(fed: Fed, function: QueueFunction) -> None:
    """The function gets the text as it was sent, and the message is gone afterwards."""
    pump = QueuePump(fed.source, function, OPTIONS)
    await fed.send('{"é": 1}', 0)

    assert await pump.drain() == 1
    assert await pump.drain() == 0
    assert function.calls == [('{"é": 1}', 1)]
    assert await fed.source.take(1, 1) == []


async def test_queue_that_does_not_exist_is_empty(fed: Fed, function: QueueFunction) -> None:
    """Before the first message was sent, the pump takes none and does not fail."""
    assert await QueuePump(fed.source, function, OPTIONS).drain_once() == 0


async def test_batch_is_no_larger_than_host_json_says(fed: Fed, function: QueueFunction) -> None:
    """Ten messages are taken four, four and two at a time."""
    pump = QueuePump(fed.source, function, OPTIONS)
    for number in range(10):
        await fed.send(f"message {number}", 0)

    assert [await pump.drain_once() for _ in range(4)] == [4, 4, 2, 0]
    assert sorted(function.calls) == [(f"message {number}", 1) for number in range(10)]


async def test_message_that_fails_is_delivered_again_and_then_poison(
    fed: Fed, function: QueueFunction, caplog: pytest.LogCaptureFixture
) -> None:
    """After `maxDequeueCount` failures it is in the poison queue, unchanged, and the log says so."""
    function.failing = {"bad"}
    pump = QueuePump(fed.source, function, OPTIONS, "liveness-results")
    await fed.send("bad", 0)
    await fed.send("good", 0)

    await pump.drain()

    assert [call for call in function.calls if call[0] == "bad"] == [("bad", 1), ("bad", 2), ("bad", 3)]
    assert function.ended == ["good"]
    assert await fed.poisoned() == ["bad"]
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 4
    assert caplog.messages[-1].endswith("of liveness-results goes to liveness-results-poison")


async def test_message_that_fails_waits_for_the_visibility_timeout(
    fed: Fed, function: QueueFunction, caplog: pytest.LogCaptureFixture
) -> None:
    """Two tries are `visibilityTimeout` apart, so that a short outage does not use them all up."""
    function.failing = {"bad"}
    await fed.send("bad", 0)

    assert await QueuePump(fed.source, function, replace(OPTIONS, retry_after=30)).drain() == 1


async def test_message_that_killed_each_process_is_poison_without_another_try(
    fed: Fed, function: QueueFunction
) -> None:
    """It was taken as often as is allowed, and never settled."""
    await fed.send("deadly", 0)
    for _ in range(OPTIONS.max_dequeue_count):
        [message] = await fed.source.take(1, 600)
        await fed.source.release(message, 0)

    await QueuePump(fed.source, function, OPTIONS).drain()

    assert function.calls == []
    assert await fed.poisoned() == ["deadly"]


async def test_message_of_a_process_that_died_comes_back_when_its_lease_ends(function: QueueFunction) -> None:
    """Nothing is lost: ten minutes later it is delivered again, with its count."""
    clock = FakeClock()
    queue = MemoryQueue(clock)
    pump = QueuePump(MemorySource(queue), function, OPTIONS)
    await queue.send("one", 0)
    await MemorySource(queue).take(1, OPTIONS.lease)

    clock.advance_seconds(OPTIONS.lease - 1)
    assert await pump.drain() == 0
    clock.advance_seconds(1)
    assert await pump.drain() == 1
    assert function.calls == [("one", 2)]


async def test_listener_works_until_it_is_stopped(fed: Fed, function: QueueFunction) -> None:
    """Started, it takes what is sent by itself; stopped, it takes nothing more."""
    pump = QueuePump(fed.source, function, OPTIONS)
    pump.start()
    pump.start()
    await fed.send("one", 0)
    await function.called.wait()
    await pump.stop()

    assert function.ended == ["one"]


@pytest.mark.parametrize("ends", [True, False])
async def test_stop_waits_for_what_runs(function: QueueFunction, ends: bool) -> None:
    """A call that ends within the grace period is settled; the message of another stays for the next process."""
    queue = MemoryQueue(FakeClock())
    pump = QueuePump(MemorySource(queue), function, OPTIONS)
    function.open.clear()
    await queue.send("one", 0)
    pump.start()
    await function.called.wait()

    stopping = asyncio.create_task(pump.stop(grace_seconds=60 if ends else 0))
    await asyncio.sleep(0)
    if ends:
        function.open.set()
    await stopping

    assert function.ended == (["one"] if ends else [])
    assert [message.text for message in queue.messages] == ([] if ends else ["one"])


def test_empty_queue_is_polled_less_and_less_often(function: QueueFunction) -> None:
    """The wait doubles from a tenth of a second to `maxPollingInterval`."""
    polls: list[float] = []

    class Watched(MemorySource):
        async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
            polls.append(round(asyncio.get_running_loop().time(), 3))
            return await super().take(count, lease_seconds)

    async def listen() -> None:
        pump = QueuePump(Watched(MemoryQueue(virtual_clock)), function, OPTIONS)
        pump.start()
        await asyncio.sleep(1.2)
        await pump.stop()

    run_in_virtual_time(listen())

    assert polls == [0, 0.1, 0.3, 0.7, 1.1]


def test_queue_that_is_down_is_polled_again(
    function: QueueFunction, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failed poll is one log line, and the pump goes on."""

    async def listen() -> float:
        pump = QueuePump(EndlessSource(outages=2), function, OPTIONS)
        pump.start()
        await function.called.wait()
        await pump.stop()
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(listen()) == pytest.approx(0.3)
    assert caplog.messages == ["Cannot take messages of queue: the queue failed: ServiceRequestError"] * 2


async def test_message_that_cannot_be_released_is_left_to_its_lease(
    function: QueueFunction, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure to settle a message is one log line, and the pump goes on."""
    function.failing = {""}
    assert await QueuePump(EndlessSource(), function, OPTIONS).drain_once() == 4
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert (
        warnings == ["A message of queue will be delivered again: the queue failed: ServiceRequestError"] * 4
    )


async def test_no_more_is_held_than_a_batch_and_the_threshold(function: QueueFunction) -> None:
    """New messages are only taken when no more than `newBatchThreshold` are left."""
    function.open.clear()
    source = EndlessSource()
    pump = QueuePump(source, function, OPTIONS)
    pump.start()
    await function.called.wait()
    function.open.set()
    await source.enough.wait()
    await pump.stop()

    assert source.most_held <= OPTIONS.batch_size + OPTIONS.new_batch_threshold


def pump_of(broker: Broker) -> tuple[QueuePump, MemorySource]:
    assert isinstance(broker.app.queue, MemoryQueue)
    source = MemorySource(broker.app.queue)
    return queue_pump(broker.app, broker.host, HOST_JSON, source=source), source


def subjects(broker: Broker) -> list[str]:
    assert isinstance(broker.app.publisher, MemoryPublisher)
    return [event["subject"] for event in broker.app.publisher.events]


async def test_result_that_a_phone_has_seen_is_published_at_once() -> None:
    """The message that the phone's poll sent reaches the function, which publishes the event."""
    async with running_broker() as broker:
        pump = queue_pump(broker.app, broker.host, HOST_JSON)
        session = await broker.created()
        await broker.perform(session)
        await broker.result(session)

        assert await pump.drain() == 1
        assert subjects(broker) == [session["sessionId"]]


async def test_unreadable_message_is_poison_after_the_deliveries_of_host_json(
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


async def test_outage_of_half_an_hour_makes_no_message_poison() -> None:
    """The function can do nothing then, and cannot put its message back; the host's own tries outlast it."""
    store = FakeStore()
    async with running_broker(store=store) as broker:
        pump, source = pump_of(broker)
        session = await broker.created("sim-realface")
        await broker.perform(session)
        broker.clock.advance_seconds(800)
        queue = FakeQueue(source.queue)
        install(replace(broker.app, queue=queue))
        store.around = queue.around = _unavailable

        deliveries = 0
        for _ in range(30):
            deliveries += await pump.drain()
            broker.clock.advance_seconds(60)
        store.around = queue.around = None
        broker.clock.advance_seconds(RETRY_SECONDS)
        await pump.drain()

        assert deliveries > 1
        assert subjects(broker) == [session["sessionId"]]
        assert source.poisoned.messages == []


async def _unavailable(call: object, effect: object) -> None:
    raise StorageUnavailable("down")
