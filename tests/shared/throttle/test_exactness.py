"""Several instances over one store, in every order that chance makes up: never too many, never too few."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import StorageUnavailable, Throttled
from shared.throttle import Admission, Subject
from shared.throttle.policy import Log
from tests.shared.throttle.doubles import (
    FakeStore,
    Outcome,
    VirtualTime,
    attempt,
    client,
    device,
    limit,
    limiter,
    turns,
)

SUBJECTS = (
    device("a", limit("3/10s, 5/m")),
    device("b", limit("3/10s, 5/m")),
    client("a", limit("4/20s", "client")),
    client("shared", limit("6/30s", "principal")),
)


class World:
    """Instances over one store, in virtual time; it writes down what the store held, and when."""

    def __init__(self, seed: int, trusted_ms: int = 0, **options: int) -> None:
        self.trusted_ms = trusted_ms
        self.chance = Random(seed)  # noqa: S311 - a pattern, not a secret.
        self.time = VirtualTime()
        self.store = FakeStore(lambda: self.chance.randrange(4))
        self.store.on_change = self._note
        self.limiters = [limiter(self.store, self.time, **options) for _ in range(3)]
        self.history: list[tuple[int, dict[str, Log]]] = []
        self.charged: dict[str, list[int]] = {subject.key: [] for subject in SUBJECTS}
        self._note()

    def advance(self) -> None:
        """Let some time pass."""
        self.time.now += self.chance.choice([0, 1, 100, 3000, 9999, 10_000])
        self._note()

    async def request(self, refunds: bool = False) -> None:
        """Send one request to one instance, and judge its answer."""
        throttle = self.chance.choice(self.limiters)
        subjects = self.chance.sample(SUBJECTS, self.chance.randint(1, len(SUBJECTS)))
        began = len(self.history) - 1
        outcome = await attempt(throttle, *subjects)
        self._judge(subjects, outcome, began)
        if refunds and isinstance(outcome, Admission) and self.chance.random() < 0.5:
            await turns(self.chance.randrange(6))
            await throttle.refund(outcome)
            for charge in outcome.charges:
                self.charged[charge.key].remove(charge.stamp)

    def _note(self) -> None:
        self.history.append(
            (self.time.now, {subject.key: self.store.log(subject.key) for subject in SUBJECTS})
        )

    def _judge(self, subjects: Sequence[Subject], outcome: Outcome, began: int) -> None:
        if isinstance(outcome, Admission):
            for charge in outcome.charges:
                self.charged[charge.key].append(charge.stamp)
        else:
            assert isinstance(outcome, Throttled)
            assert round(outcome.retry_after * 1000) in self._true_waits(subjects, began)

    def _true_waits(self, subjects: Sequence[Subject], began: int) -> set[int]:
        """Answer the waits, told while the request was on its way, of what held then or in the time before."""
        opens = {
            subject.limits[0].policy.opens_at(logs[subject.key])
            for _, logs in self.history[self._first_believed(began) :]
            for subject in subjects
        }
        return {until - now for now, _ in self.history[began:] for until in opens if until > now}

    def _first_believed(self, began: int) -> int:
        """Answer where the history begins that a refusal may be remembered of."""
        first, since = began, self.history[began][0] - self.trusted_ms
        while first and self.history[first][0] > since:
            first -= 1
        return first

    def assert_ceilings(self) -> None:
        """No window of any subject holds more than its limit, of what was admitted and not taken back."""
        for subject in SUBJECTS:
            for window in subject.limits[0].policy.windows:
                stamps = self.charged[subject.key]
                for begin in stamps:
                    assert sum(begin <= at < begin + window.period_ms for at in stamps) <= window.limit


async def rush(world: World, *, refunds: bool) -> None:
    """Send requests in small crowds, with time passing in between and on their way."""
    tasks: set[asyncio.Task[None]] = set()
    for _ in range(30):
        tasks |= {
            asyncio.create_task(world.request(refunds)) for _ in range(world.chance.choice([1, 1, 2, 8]))
        }
        await turns(world.chance.randrange(12))
        world.advance()
    await asyncio.gather(*tasks)
    world.assert_ceilings()


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_any_interleaving_of_instances_admits_and_refuses_exactly(seed: int) -> None:
    """Never more than a limit in any window, and each refusal was true of the store while it was decided."""
    asyncio.run(rush(World(seed), refunds=False))


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_any_interleaving_with_refunds_admits_and_refuses_exactly(seed: int) -> None:
    """A charge that was taken back makes room for another at once, where no refusal is remembered."""
    asyncio.run(rush(World(seed, refused=0), refunds=True))


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=100)
def test_any_interleaving_with_refunds_and_memory_refuses_for_ten_seconds_more_at_most(seed: int) -> None:
    """A charge that was taken back makes room on every other instance within ten seconds."""
    asyncio.run(rush(World(seed, trusted_ms=10_000), refunds=True))


@pytest.mark.parametrize("others", [0, 2], ids=["one-row", "three-rows"])
async def test_herd_on_one_device_costs_at_most_five_store_calls(others: int) -> None:
    """Of 64 at once five are admitted; one reads and writes, all who wait are one write."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    subjects = [device(), *(client(str(number)) for number in range(others))]
    outcomes = await asyncio.gather(*(attempt(throttle, *subjects) for _ in range(64)))
    assert sum(isinstance(outcome, Admission) for outcome in outcomes) == 5
    assert store.trips <= 5
    assert store.calls <= 5


async def test_herd_on_a_used_up_device_costs_one_more_read() -> None:
    """All 64 are refused on one look at the store."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    for _ in range(5):
        await throttle.admit([device()])
    before = store.calls
    outcomes = await asyncio.gather(*(attempt(throttle, device()) for _ in range(64)))
    assert not any(isinstance(outcome, Admission) for outcome in outcomes)
    assert store.calls - before <= 2


async def test_herd_of_many_devices_behind_one_address_is_written_in_full_batches() -> None:
    """200 devices share a row: a write holds at most 90 rows, and nobody is lost."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    address = client("a", limit("150/10m", "client"))
    outcomes = await asyncio.gather(*(attempt(throttle, device(str(n)), address) for n in range(200)))
    assert sum(isinstance(outcome, Admission) for outcome in outcomes) == 150
    assert store.largest_write == 90
    assert store.writes == 3


@pytest.mark.parametrize("seed", range(5))
async def test_herd_over_eight_instances_is_admitted_exactly(seed: int) -> None:
    """Of 256 at once over eight instances exactly 20 get in, and nobody is told that the store is busy."""
    chance = Random(seed)  # noqa: S311 - a pattern, not a secret.
    store, time = FakeStore(lambda: chance.randrange(5)), VirtualTime()
    instances = [limiter(store, time) for _ in range(8)]
    subject = device("a", limit("20/10m"))
    outcomes = await asyncio.gather(*(attempt(instances[n % 8], subject) for n in range(256)))
    assert sum(isinstance(outcome, Admission) for outcome in outcomes) == 20
    assert not any(isinstance(outcome, StorageUnavailable) for outcome in outcomes)
    assert len(store.log("device-a")) == 20
    assert store.calls <= 8 * 12


@pytest.mark.parametrize("seed", range(5))
async def test_herd_over_eight_instances_with_room_for_all_is_admitted(seed: int) -> None:
    """A hot shared row is the worst case: each instance has to win a write, and does."""
    chance = Random(seed)  # noqa: S311 - a pattern, not a secret.
    store, time = FakeStore(lambda: chance.randrange(5)), VirtualTime()
    instances = [limiter(store, time) for _ in range(8)]
    address = client("a", limit("1000/10m", "client"))
    outcomes = await asyncio.gather(*(attempt(instances[n % 8], device(str(n)), address) for n in range(256)))
    assert all(isinstance(outcome, Admission) for outcome in outcomes)
    assert len(store.log("client-a")) == 256
