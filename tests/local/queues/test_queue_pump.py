"""What the pump does with messages, over a queue in memory and over Azurite alike."""

import asyncio
import logging
import secrets
from dataclasses import replace

import pytest

from local.queues import MemorySource, QueueOptions, QueuePump, StorageSource
from shared.queues.azure_queue import queue_client
from shared.queues.memory import MemoryQueue
from tests.local.queues.conftest import Fed
from tests.local.queues.queue_doubles import OPTIONS, EndlessSource, QueueFunction, WatchedSleep
from tests.support.azurite import Azurite
from tests.support.time import FakeClock


@pytest.fixture
def function() -> QueueFunction:
    return QueueFunction()


async def test_message_that_is_dealt_with_is_delivered_once(fed: Fed, function: QueueFunction) -> None:
    """The function gets the text as it was sent, and the message is gone afterwards."""
    pump = QueuePump(fed.source, function, OPTIONS)
    await fed.send('{"é": 1}', 0)

    assert await pump.drain() == 1
    assert await pump.drain() == 0
    assert function.calls == [('{"é": 1}', 1)]
    assert await fed.source.take(1, 1) == []


async def test_queue_that_does_not_exist_is_an_empty_one(fed: Fed, function: QueueFunction) -> None:
    """Before the first message there is nothing to take, and no reason to fail."""
    assert await QueuePump(fed.source, function, OPTIONS).drain_once() == 0


async def test_message_does_not_show_before_its_delay_is_over(fed: Fed, function: QueueFunction) -> None:
    """What is for later stays where it is."""
    await fed.send("later", 60)

    assert await QueuePump(fed.source, function, OPTIONS).drain() == 0


async def test_batch_is_no_larger_than_host_json_says(fed: Fed, function: QueueFunction) -> None:
    """Ten messages are taken four, four and two at a time."""
    pump = QueuePump(fed.source, function, OPTIONS)
    for number in range(10):
        await fed.send(f"message {number}", 0)

    assert [await pump.drain_once() for _ in range(4)] == [4, 4, 2, 0]
    assert sorted(function.calls) == [(f"message {number}", 1) for number in range(10)]


async def test_message_that_is_worked_on_is_hidden_from_others(fed: Fed, function: QueueFunction) -> None:
    """A second listener finds nothing while the first one is at it."""
    function.open.clear()
    await fed.send("one", 0)
    first = asyncio.create_task(QueuePump(fed.source, function, OPTIONS).drain_once())
    await function.called.wait()

    assert await QueuePump(fed.source, function, OPTIONS).drain_once() == 0

    function.open.set()
    assert await first == 1


async def test_message_that_fails_is_delivered_again_and_then_poison(
    fed: Fed, function: QueueFunction, caplog: pytest.LogCaptureFixture
) -> None:
    """After `maxDequeueCount` failures it is in the poison queue, unchanged, and the log says so."""
    function.failing = {"bad"}
    pump = QueuePump(fed.source, function, OPTIONS, name="liveness-results")
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
    """Between two tries lies `visibilityTimeout`, so that an outage of a second does not use them all up."""
    function.failing = {"bad"}
    await fed.send("bad", 0)

    assert await QueuePump(fed.source, function, replace(OPTIONS, retry_after=30)).drain() == 1


async def test_message_that_killed_whoever_took_it_is_poison_without_another_try(
    fed: Fed, function: QueueFunction
) -> None:
    """It was taken as often as is allowed, and nobody lived to say how it ended."""
    await fed.send("deadly", 0)
    for _ in range(OPTIONS.max_dequeue_count):
        [message] = await fed.source.take(1, 600)
        await fed.source.release(message, 0)

    await QueuePump(fed.source, function, OPTIONS).drain()

    assert function.calls == []
    assert await fed.poisoned() == ["deadly"]


async def test_receipt_of_a_message_that_somebody_else_took_changes_nothing(fed: Fed) -> None:
    """Who comes back after its lease has ended neither removes, releases nor poisons the other's message."""
    await fed.send("one", 0)
    [late] = await fed.source.take(1, 600)
    await fed.source.release(late, 0)
    [current] = await fed.source.take(1, 600)

    await fed.source.remove(late)
    await fed.source.release(late, 0)

    assert await fed.source.take(1, 600) == []
    await fed.source.release(current, 0)
    assert [message.dequeue_count for message in await fed.source.take(1, 600)] == [3]


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


async def test_content_that_is_not_base64_is_poison(
    azurite: Azurite, function: QueueFunction, caplog: pytest.LogCaptureFixture
) -> None:
    """A sender that forgot the encoding holds nobody up; its message is kept as it came."""
    name = f"q{secrets.token_hex(6)}"
    source = StorageSource(azurite.connection_string, name)
    async with (
        queue_client(azurite.connection_string, name, encoded=False) as queue,
        queue_client(azurite.connection_string, f"{name}-poison", encoded=False) as poison,
    ):
        await queue.create_queue()
        await queue.send_message("{plain}")
        await queue.send_message("Z29vZA==")
        await QueuePump(source, function, OPTIONS).drain()
        kept = [message.content for message in await poison.peek_messages(max_messages=32)]
    await source.aclose()

    assert function.ended == ["good"]
    assert kept == ["{plain}"]


async def test_listener_works_until_it_is_stopped(fed: Fed, function: QueueFunction) -> None:
    """Started, it takes what is sent by itself; stopped, it takes nothing more."""
    pump = QueuePump(fed.source, function, OPTIONS)
    pump.start()
    pump.start()
    await fed.send("one", 0)
    await function.called.wait()
    await pump.stop()

    assert function.ended == ["one"]


async def test_stop_waits_for_what_runs(function: QueueFunction) -> None:
    """A call under way ends in order, and its message is removed."""
    queue = MemoryQueue(FakeClock())
    pump = QueuePump(MemorySource(queue), function, OPTIONS)
    function.open.clear()
    await queue.send("one", 0)
    pump.start()
    await function.called.wait()

    stopping = asyncio.create_task(pump.stop(grace_seconds=60))
    await asyncio.sleep(0)
    function.open.set()
    await stopping

    assert (function.ended, queue.messages) == (["one"], [])


async def test_stop_abandons_what_does_not_end(function: QueueFunction) -> None:
    """Its message is still there for whoever comes next."""
    queue = MemoryQueue(FakeClock())
    pump = QueuePump(MemorySource(queue), function, OPTIONS)
    function.open.clear()
    await queue.send("one", 0)
    pump.start()
    await function.called.wait()

    await pump.stop(grace_seconds=0)

    assert function.ended == []
    assert [message.text for message in queue.messages] == ["one"]


async def test_empty_queue_is_looked_at_less_and_less_often(function: QueueFunction) -> None:
    """The wait doubles from a tenth of a second to `maxPollingInterval`."""
    sleep = WatchedSleep(5)
    pump = QueuePump(MemorySource(MemoryQueue(FakeClock())), function, OPTIONS, sleep=sleep)
    pump.start()
    await sleep.exhausted.wait()
    await pump.stop()

    assert sleep.waits == [0.1, 0.2, 0.4, 0.4, 0.4]


async def test_store_that_is_down_is_asked_again(
    function: QueueFunction, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage is told in a line for each look, and does not end the listener."""
    source = EndlessSource(outages=2)
    sleep = WatchedSleep(3)
    pump = QueuePump(source, function, OPTIONS, sleep=sleep)
    pump.start()
    await function.called.wait()
    await pump.stop()

    assert sleep.waits == [0.1, 0.2]
    assert caplog.messages == ["Messages of queue cannot be taken: the queue failed: ServiceRequestError"] * 2


async def test_message_that_cannot_be_released_is_left_to_its_lease(
    function: QueueFunction, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure beside the function's own is told, and the listener goes on."""
    function.failing = {""}
    assert await QueuePump(EndlessSource(), function, OPTIONS).drain_once() == 4
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["A message of queue comes again: the queue failed: ServiceRequestError"] * 4


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


@pytest.mark.parametrize(
    ("host_json", "expected"),
    [
        pytest.param({}, QueueOptions(16, 8, 5, 0, 60), id="defaults"),
        pytest.param(
            {
                "extensions": {
                    "queues": {
                        "batchSize": 8,
                        "newBatchThreshold": 3,
                        "maxDequeueCount": 7,
                        "visibilityTimeout": "00:00:30",
                        "maxPollingInterval": "01:02:03.5",
                    }
                }
            },
            QueueOptions(8, 3, 7, 30, 3723.5),
            id="all",
        ),
        pytest.param(
            {"extensions": {"queues": {"batchSize": 9}}}, QueueOptions(9, 4, 5, 0, 60), id="half a batch"
        ),
    ],
)
def test_host_json_is_read_as_the_host_reads_it(host_json: dict[str, object], expected: QueueOptions) -> None:
    """What is not set has the host's own default; a message is always hidden for ten minutes."""
    assert QueueOptions.parse(host_json) == expected
    assert expected.lease == 600
