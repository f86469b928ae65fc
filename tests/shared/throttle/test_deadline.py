"""How long an admission may take, in virtual time: over a slow store, and where many instances want one row."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TypeVar

import pytest

from benchmarks.observed_store import ObservedStore
from shared.errors import EntityChanged, StorageUnavailable
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, EntityStore, Table
from shared.throttle import Admission, Limiter
from tests.shared.throttle.doubles import Outcome, attempt, client, device, limit
from tests.support.time import run_in_virtual_time, virtual_clock

T = TypeVar("T")

ADDRESS = client("a", limit("1000/10m", "client"))


class Travel:
    """Lets each call of a store take from `shortest` to `longest` seconds, half of it before its effect."""

    def __init__(self, chance: Random, shortest: float, longest: float) -> None:
        self.chance = chance
        self.shortest = shortest
        self.longest = longest

    async def __call__(self, table: Table, key: str, call: Callable[[], Awaitable[T]]) -> T:
        half = self.chance.uniform(self.shortest, self.longest) / 2
        await asyncio.sleep(half)
        try:
            return await call()
        finally:
            await asyncio.sleep(half)


async def herd(
    store: EntityStore, chance: Random, instances: int, creates: int
) -> list[tuple[Outcome, float]]:
    """Ask for many devices behind one address at once; answer what came of each, and after how many seconds."""
    limiters = [Limiter(store, virtual_clock, random=chance.random) for _ in range(instances)]
    loop = asyncio.get_running_loop()

    async def ask(number: int) -> tuple[Outcome, float]:
        began = loop.time()
        outcome = await attempt(limiters[number % instances], device(str(number)), ADDRESS)
        return outcome, loop.time() - began

    return await asyncio.gather(*map(ask, range(creates)))


@pytest.mark.parametrize("seed", range(3))
def test_herd_over_forty_instances_is_admitted_as_far_as_the_limit_has_room(seed: int) -> None:
    """The most instances that there are, and a healthy store: none of 256 creates behind one address fails."""
    chance = Random(seed)  # noqa: S311 - a pattern, not a secret.
    store = ObservedStore(MemoryStore(), Travel(chance, 0.005, 0.020))

    answers = run_in_virtual_time(herd(store, chance, 40, 256))

    assert all(isinstance(outcome, Admission) for outcome, _ in answers)


def test_slow_store_and_many_rivals_are_given_up_after_five_seconds() -> None:
    """Who has not been decided by then hears when to come back, well before an idempotency key's lease ends."""
    chance = Random(1)  # noqa: S311 - a pattern, not a secret.
    store = ObservedStore(MemoryStore(), Travel(chance, 1.4, 1.4))

    answers = run_in_virtual_time(herd(store, chance, 24, 96))

    assert max(seconds for _, seconds in answers) <= 5.0
    assert any(isinstance(outcome, Admission) for outcome, _ in answers)
    refused = [outcome for outcome, _ in answers if isinstance(outcome, StorageUnavailable)]
    assert {(outcome.detail, outcome.retry_after) for outcome in refused} == {
        ("throttle rows could not be written in time", 1.0)
    }


def test_nothing_is_tried_any_more_once_all_callers_have_gone() -> None:
    """A batch ends with the last of those who wait for it."""

    class LosingStore(MemoryStore):
        """A store in which another instance is always faster."""

        writes = 0

        async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
            self.writes += 1
            raise EntityChanged

    async def ask() -> tuple[list[Outcome], int, int]:
        store = LosingStore()
        chance = Random(1)  # noqa: S311 - a pattern, not a secret.
        throttle = Limiter(store, virtual_clock, random=chance.random)
        outcomes = await asyncio.gather(*(attempt(throttle, device()) for _ in range(5)))
        writes = store.writes
        await asyncio.sleep(60)
        return outcomes, writes, store.writes

    outcomes, writes, writes_in_the_end = run_in_virtual_time(ask())

    assert all(isinstance(outcome, StorageUnavailable) for outcome in outcomes)
    assert writes > 10
    assert writes_in_the_end - writes <= 1


def test_refund_that_takes_too_long_is_given_up_as_well() -> None:
    """The request that it belongs to has an answer of its own to give."""
    chance = Random(1)  # noqa: S311 - a pattern, not a secret.
    travel = Travel(chance, 0.01, 0.01)

    async def refund() -> float:
        throttle = Limiter(ObservedStore(MemoryStore(), travel), virtual_clock, random=chance.random)
        admission = await throttle.admit([device()])
        travel.longest = travel.shortest = 100.0
        began = asyncio.get_running_loop().time()
        await throttle.refund(admission)
        return asyncio.get_running_loop().time() - began

    assert run_in_virtual_time(refund()) == pytest.approx(5.0)
