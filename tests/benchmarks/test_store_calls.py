"""How often creates and polls call the store and the queue, and how much of that is one call after another."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from benchmarks.observed_store import ObservedStore
from benchmarks.store_calls.bench import Bench
from benchmarks.store_calls.cases import CASES, Case
from benchmarks.store_calls.measure import HERD_TARGET, Calls, HerdCalls, count_calls, count_herd
from shared.queues.azure_queue import open_queue
from shared.queues.memory import MemoryQueue
from shared.storage.azure_table import open_table_store
from shared.storage.memory import MemoryStore
from shared.storage.port import Table
from tests.support.azurite import Azurite
from tests.support.time import FakeClock, VirtualLoop

T = TypeVar("T")

EXPECTED = {
    "create: device known here": Calls(of_store=2, messages=1, store_trips=2, trips=3),
    "create: device known here, idempotency key": Calls(of_store=4, messages=1, store_trips=4, trips=5),
    "create: device known here, then served elsewhere": Calls(of_store=5, messages=1, store_trips=4, trips=5),
    "create: device unknown": Calls(of_store=4, messages=1, store_trips=3, trips=4),
    "create: device unknown, idempotency key": Calls(of_store=6, messages=1, store_trips=5, trips=6),
    "create: refused": Calls(of_store=1, messages=0, store_trips=1, trips=1),
    "create: refused again": Calls(of_store=0, messages=0, store_trips=0, trips=0),
    "create: refused again, idempotency key": Calls(of_store=1, messages=0, store_trips=1, trips=1),
    "create: replayed": Calls(of_store=3, messages=0, store_trips=3, trips=3),
    "poll: no result yet": Calls(of_store=2, messages=0, store_trips=2, trips=2),
    "poll: sooner than the limit": Calls(of_store=1, messages=0, store_trips=1, trips=1),
    "poll: finds the result": Calls(of_store=3, messages=1, store_trips=3, trips=4),
    "poll: result known": Calls(of_store=1, messages=0, store_trips=1, trips=1),
}
HERD = HerdCalls(of_store=9, messages=5, throttle_calls=4, throttle_trips=3)
"""Two reads, a write for the first and one for the others; and a message and a record for each of five admitted."""


class Distance:
    """Goes around the calls of a store in memory, so that each takes a second of virtual time."""

    async def __call__(self, table: Table, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call."""
        await asyncio.sleep(1)
        return await call()


class DistantQueue(MemoryQueue):
    """A queue in memory, whose calls take as long."""

    async def send(self, text: str, delay_seconds: float) -> None:
        await asyncio.sleep(1)
        await super().send(text, delay_seconds)


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """Run in virtual time."""
    loop = VirtualLoop()
    yield loop
    loop.close()


@pytest.fixture
def distant() -> Bench:
    """Both instances over a store and a queue that are far away, and otherwise do nothing."""
    return Bench.over(ObservedStore(MemoryStore(), Distance()), DistantQueue(FakeClock()))


async def over_azurite(azurite: Azurite, count: Callable[[Bench], Awaitable[T]]) -> T:
    """Count over tables of this test's own, which are there before anything is counted."""
    account = azurite.connection_string
    store = open_table_store(account, prefix=f"t{secrets.token_hex(6)}", create_tables=True, deadline=30.0)
    queue = open_queue(account, f"q-{secrets.token_hex(6)}", create=True)
    bench = Bench.over(store, queue)
    try:
        await bench.create(bench.elsewhere, bench.device(), "key-of-nobody-else")
        return await count(bench)
    finally:
        await store.aclose()
        await queue.aclose()


def test_every_case_has_an_expectation() -> None:
    """What the benchmark measures is held to its number of calls here."""
    assert {case.name for case in CASES} == EXPECTED.keys()


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.target is not None], ids=lambda case: case.name
)
def test_expected_calls_meet_the_target(case: Case) -> None:
    """No expectation is beyond what the request may cost."""
    assert case.target is not None
    assert EXPECTED[case.name].store_trips <= case.target


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_request_makes_the_expected_calls(loop: VirtualLoop, distant: Bench, case: Case) -> None:
    """What can go side by side does."""
    assert loop.run(count_calls(distant, case)) == EXPECTED[case.name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_request_takes_as_long_as_its_round_trips(loop: VirtualLoop, distant: Bench, case: Case) -> None:
    """Where a call takes a second and nothing else takes time, the answer is there after as many seconds."""

    async def seconds() -> float:
        request = await case.prepare(distant)
        began = asyncio.get_running_loop().time()
        await request()
        return asyncio.get_running_loop().time() - began

    # The limiter waits a little after it lost a race.
    assert loop.run(seconds()) == pytest.approx(EXPECTED[case.name].trips, abs=0.1)


def test_herd_on_one_device_is_answered_after_five_round_trips(loop: VirtualLoop, distant: Bench) -> None:
    """Of 64 creates at once: read, write, write for all who wait, message, record; then the last one is answered."""

    async def count() -> tuple[HerdCalls, float]:
        began = asyncio.get_running_loop().time()
        counted = await count_herd(distant)
        return counted, asyncio.get_running_loop().time() - began

    counted, seconds = loop.run(count())
    assert counted == HERD
    assert counted.throttle_calls <= HERD_TARGET
    assert seconds == HERD_TARGET


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_request_makes_the_expected_calls_of_azurite(azurite: Azurite, case: Case) -> None:
    """The same over tables and a queue that answer when they like."""
    assert await over_azurite(azurite, lambda bench: count_calls(bench, case)) == EXPECTED[case.name]


async def test_herd_on_one_device_makes_the_expected_calls_of_azurite(azurite: Azurite) -> None:
    """However long each call takes, the throttle decides 64 creates with four, in three round trips."""
    assert await over_azurite(azurite, count_herd) == HERD
