"""The queue pump, over a queue in memory and over Azurite."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from local.host_json import QueueOptions
from local.queues import MemorySource, MessageSource, QueuePump, StorageSource, TakenMessage, queue_pump
from shared.app import install
from shared.errors import StorageUnavailable
from shared.events.publisher import MemoryPublisher
from shared.queues.port import MemoryQueue
from shared.text import system_clock
from tests.support.azurite import Azurite
from tests.support.broker import running_broker
from tests.support.queue import FakeQueue
from tests.support.store import FakeStore
from tests.support.time import FakeClock, run_in_virtual_time, virtual_clock

HOST_JSON: dict[str, Any] = json.loads((Path(__file__).parents[2] / "host.json").read_text())
RETRY_SECONDS = 300
OPTIONS = QueueOptions(batch_size=4, max_dequeue_count=3, retry_after=0, lease=600)
DOWN = StorageUnavailable("the queue failed: ServiceRequestError")


@dataclass
class QueueFunction:
    """Notes its calls; fails for texts in `failing`, and waits until `open` is set."""

    failing: set[str] = field(default_factory=set)
    calls: list[tuple[str, int]] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open.set()

    async def __call__(self, text: str, dequeue_count: int, message_id: str) -> None:
        self.calls.append((text, dequeue_count))
        self.called.set()
        await self.open.wait()
        if text in self.failing:
            raise RuntimeError("not yet")
        self.ended.append(text)


@dataclass(frozen=True, slots=True)
class Fed:
    """A queue: its source, and a way to send text as it is."""

    source: MessageSource
    send: Callable[[str, float], Awaitable[None]]

    def now(self) -> int:
        """The time of the queue, in unix milliseconds."""
        return self.source.queue.clock() if isinstance(self.source, MemorySource) else system_clock()

    async def poisoned(self) -> list[str]:
        """The texts in the poison queue."""
        return [message.text for message in await self.source.poison_messages()]


@pytest.fixture
def function() -> QueueFunction:
    return QueueFunction()


@pytest.fixture(params=["memory", "azurite"])
async def fed(request: pytest.FixtureRequest) -> AsyncIterator[Fed]:
    """Each kind of queue in turn; in Azurite it does not exist yet."""
    if request.param == "memory":
        source = memory_source()
        yield Fed(source, source.queue.send)
        return
    account = request.getfixturevalue("azurite").account
    name = f"q{secrets.token_hex(6)}"
    queue, stored = account.open_queue(name), StorageSource(account, name)

    yield Fed(stored, queue.send)
    await stored.aclose()
    await queue.aclose()


def memory_source() -> MemorySource:
    return MemorySource(MemoryQueue(FakeClock()))


async def test_processed_message_is_delivered_once(fed: Fed, function: QueueFunction) -> None:
    """A queue that does not exist is empty; then the function gets the text as sent, and the message is gone."""
    pump = QueuePump(fed.source, function, OPTIONS)
    assert await pump.drain() == 0
    await fed.send('{"é": 1}', 0)

    assert [await pump.drain() for _ in range(2)] == [1, 0]
    assert function.calls == [('{"é": 1}', 1)]
    assert await fed.source.take(1, 1) == []


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
    pump = QueuePump(fed.source, function, OPTIONS)
    assert (await fed.source.depths(), await fed.source.oldest_due()) == ((0, 0), None)
    await fed.send("later", 3600)
    assert (await fed.source.depths(), await fed.source.oldest_due()) == ((1, 0), None)
    await fed.send("bad", 0)
    await fed.send("good", 0)
    assert await fed.source.depths() == (3, 0)
    assert abs((await fed.source.oldest_due() or 0) - fed.now()) < 60_000

    await pump.drain()

    assert await fed.source.depths() == (1, 1)

    assert [call for call in function.calls if call[0] == "bad"] == [("bad", 1), ("bad", 2), ("bad", 3)]
    assert (function.ended, await fed.poisoned()) == (["good"], ["bad"])
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 4
    assert caplog.messages[-1].endswith(" goes to liveness-results-poison")


async def test_message_that_fails_waits_for_the_visibility_timeout(fed: Fed, function: QueueFunction) -> None:
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

    assert (function.calls, await fed.poisoned()) == ([], ["deadly"])


async def test_message_of_a_process_that_died_comes_back_when_its_lease_ends(function: QueueFunction) -> None:
    """Nothing is lost: ten minutes later it is delivered again, with its count."""
    clock = FakeClock()
    source = MemorySource(MemoryQueue(clock))
    pump = QueuePump(source, function, OPTIONS)
    await source.queue.send("one", 0)
    await source.take(1, OPTIONS.lease)

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
    source = memory_source()
    pump = QueuePump(source, function, OPTIONS)
    function.open.clear()
    await source.queue.send("one", 0)
    pump.start()
    await function.called.wait()

    stopping = asyncio.create_task(pump.stop(grace_seconds=60 if ends else 0))
    await asyncio.sleep(0)
    if ends:
        function.open.set()
    await stopping

    assert function.ended == (["one"] if ends else [])
    assert [message.text for message in source.queue.messages] == ([] if ends else ["one"])


class BrokenSource(MemorySource):
    """A queue whose first two polls fail, and that cannot release a message."""

    def __init__(self) -> None:
        super().__init__(MemoryQueue(virtual_clock))
        self.polls: list[float] = []

    async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
        self.polls.append(round(asyncio.get_running_loop().time(), 3))
        if len(self.polls) <= 2:
            raise DOWN
        return await super().take(count, lease_seconds)

    async def release(self, message: TakenMessage, delay_seconds: float) -> None:
        raise DOWN


def test_queue_that_is_down_or_empty_is_polled_again_after_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    """Each poll that fails, and each message that cannot be released, is one log line, and the pump goes on."""
    source, function = BrokenSource(), QueueFunction(failing={"bad"})

    async def listen() -> None:
        pump = QueuePump(source, function, OPTIONS)
        await source.queue.send("bad", 0)
        await source.queue.send("late", 0.7)
        pump.start()
        await asyncio.sleep(0.9)
        await pump.stop()

    run_in_virtual_time(listen())

    assert source.polls == [0, 0.2, 0.4, 0.4, 0.6, 0.8, 0.8]
    assert function.calls == [("bad", 1), ("late", 1)]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        *([f"Cannot take messages of liveness-results: {DOWN.detail}"] * 2),
        f"A message of liveness-results will be delivered again: {DOWN.detail}",
    ]


async def test_outage_of_half_an_hour_makes_no_message_poison() -> None:
    """The function can do nothing then, and cannot put its message back; the host's own tries outlast it."""
    store = FakeStore()
    async with running_broker(store=store) as broker:
        assert isinstance(broker.app.queue, MemoryQueue)
        assert isinstance(broker.app.publisher, MemoryPublisher)
        source = MemorySource(broker.app.queue)
        pump = queue_pump(broker.app, broker.host, HOST_JSON, source=source)
        session = await broker.created("sim-realface")
        await broker.perform(session)
        broker.clock.advance_seconds(800)
        queue = FakeQueue(source.queue)
        install(replace(broker.app, queue=queue))

        async def unavailable(call: object, effect: object) -> None:
            raise DOWN

        store.around = queue.around = unavailable
        deliveries = 0
        for _ in range(30):
            deliveries += await pump.drain()
            broker.clock.advance_seconds(60)
        store.around = queue.around = None
        broker.clock.advance_seconds(RETRY_SECONDS)
        await pump.drain()

        assert deliveries > 1
        assert [event["subject"] for event in broker.app.publisher.events] == [session["sessionId"]]
        assert source.poisoned.messages == []


async def test_message_of_another_consumer_and_one_without_encoding(
    azurite: Azurite, function: QueueFunction, caplog: pytest.LogCaptureFixture
) -> None:
    """A consumer whose lease ended changes nothing. Content that is not base64 is poison, kept unchanged."""
    name = f"q{secrets.token_hex(6)}"
    source = StorageSource(azurite.account, name)
    async with (
        azurite.account.queue_client(name, encoded=False) as queue,
        azurite.account.queue_client(f"{name}-poison", encoded=False) as poison,
    ):
        await queue.create_queue()
        await queue.send_message("{plain}")
        [late] = await source.take(1, 600)
        await source.release(late, 0)
        [current] = await source.take(1, 600)
        await source.remove(late)
        await source.release(late, 0)
        assert await source.take(1, 600) == []
        await source.release(current, 0)
        await queue.send_message("Z29vZA==")
        await QueuePump(source, function, OPTIONS).drain()
        kept = [message.content for message in await poison.peek_messages(max_messages=32)]
    await source.aclose()

    assert (function.ended, kept) == (["good"], ["{plain}"])
