"""How often creates and polls call the store and the queue, and how much of that is one call after another."""

import asyncio

import pytest

from benchmarks.store_calls import CASES, Bench, Counted, Phone, count_herd
from shared.queues.port import MemoryQueue
from tests.support.intercepted import Call, Effect
from tests.support.queue import FakeQueue
from tests.support.store import FakeStore
from tests.support.time import FakeClock, run_in_virtual_time

EXPECTED = {
    "create: device unknown": Counted(of_store=2, messages=1, store_trips=2, trips=3),
    "create: device unknown, idempotency key": Counted(of_store=4, messages=1, store_trips=4, trips=5),
    "create: device known here": Counted(of_store=2, messages=1, store_trips=2, trips=3),
    "create: device known here, idempotency key": Counted(of_store=4, messages=1, store_trips=4, trips=5),
    "create: device known here, then served elsewhere": Counted(
        of_store=5, messages=1, store_trips=4, trips=5
    ),
    "create: device known here, its address served elsewhere": Counted(
        of_store=4, messages=1, store_trips=4, trips=5
    ),
    "create: refused": Counted(of_store=1, messages=0, store_trips=1, trips=1),
    "create: refused again": Counted(of_store=0, messages=0, store_trips=0, trips=0),
    "create: refused again, idempotency key": Counted(of_store=1, messages=0, store_trips=1, trips=1),
    "create: replayed": Counted(of_store=3, messages=0, store_trips=3, trips=3),
    "poll: no result yet": Counted(of_store=2, messages=0, store_trips=2, trips=2),
    "poll: sooner than the limit": Counted(of_store=1, messages=0, store_trips=1, trips=1),
    "poll: finds the result": Counted(of_store=3, messages=1, store_trips=3, trips=4),
    "poll: result known": Counted(of_store=1, messages=0, store_trips=1, trips=1),
}
HERD = Counted(of_store=6, messages=0, store_trips=6, trips=6)
"""A write for each of the five that are admitted, and a read for all that are refused."""


async def far_away(call: Call, effect: Effect) -> object:
    """Let a call take a tenth of a second."""
    await asyncio.sleep(0.1)
    return await effect()


def distant() -> Bench:
    """Both instances over a store and a queue that are far away, and otherwise do nothing."""
    store, queue = FakeStore(), FakeQueue(MemoryQueue(FakeClock()))
    store.around = queue.around = far_away
    return Bench(store, queue)


@pytest.mark.parametrize("case", CASES)
def test_request_makes_the_expected_calls_and_takes_as_long_as_its_trips(case: str) -> None:
    """Calls that can go side by side do: the response is there after as many tenths of a second as there are trips."""

    async def measure() -> tuple[Counted, float]:
        bench = distant()
        # The first request of an instance may do more than the others.
        await Phone(bench).create_with_key()
        before, request = CASES[case]
        phone = Phone(bench)
        for step in before:
            await step(phone)
        bench.calls.clear()
        began = asyncio.get_running_loop().time()
        await request(phone)
        return bench.calls.counted(), asyncio.get_running_loop().time() - began

    counted, seconds = run_in_virtual_time(measure())
    assert counted == EXPECTED[case]
    # The limiter pauses for a moment after it lost a race.
    assert seconds == pytest.approx(counted.trips / 10, abs=0.02)


def test_herd_on_one_device_makes_the_expected_calls_for_throttle_rows() -> None:
    """Of 64 creates at once; the five that are admitted write a record and send a message each besides."""
    everything, throttle = run_in_virtual_time(count_herd(distant()))
    assert throttle == HERD
    assert (everything.of_store, everything.messages) == (6 + 5, 5)
