import asyncio
from collections import Counter
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamThrottled
from shared.face.budget import (
    DECREASE_EVERY,
    LOWEST_RATE,
    QUIET_RATE,
    RECOVERY_CALLS,
    RECOVERY_SECONDS,
    SERIES_GAP,
    Budget,
    Lane,
)
from tests.support.time import in_virtual_time, run_in_virtual_time

LONG = 60.0


def now() -> float:
    return asyncio.get_running_loop().time()


def virtual_budget(ceiling: float) -> Budget:
    return Budget(ceiling, monotonic=asyncio.get_running_loop().time)


async def drain(budget: Budget, *, creates: int) -> None:
    """Take the tokens of creates that are there at once."""
    for _ in range(creates):
        await budget.take(Lane.CREATE, 0.0)


async def refusal_of(budget: Budget, lane: Lane, within: float = LONG) -> UpstreamThrottled:
    """Ask for a turn that is refused at once, and return the error."""
    asked_at = now()
    with pytest.raises(UpstreamThrottled) as refusal:
        await budget.take(lane, within)
    assert now() == asked_at
    assert not refusal.value.request_sent
    return refusal.value


async def busy_budget(ceiling: float) -> Budget:
    """Make a budget whose rate is in use."""
    budget = virtual_budget(ceiling)
    for _ in range(30 * int(ceiling)):
        await budget.take(Lane.READ, LONG)
    await asyncio.sleep(1.0)
    return budget


def decrease(budget: Budget) -> float:
    """Report a 429 to a call that begins now, and return the new rate."""
    budget.slow_down(now())
    return budget.rate


@in_virtual_time
async def test_creates_get_half_of_the_burst_at_once_and_then_half_of_the_rate() -> None:
    """Creates take their turns in the order in which they came; the other half is for the reads that they need."""
    budget = virtual_budget(10)
    admitted: list[tuple[int, float]] = []

    async def create(number: int) -> None:
        await budget.take(Lane.CREATE, LONG)
        admitted.append((number, round(now(), 6)))

    await asyncio.gather(*(create(number) for number in range(8)))
    assert admitted == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0), (5, 0.2), (6, 0.4), (7, 0.6)]


@in_virtual_time
async def test_read_that_would_wait_too_long_is_refused_at_once() -> None:
    """A first read waits for a second at most, another for a quarter; neither takes what is kept for creates.

    A follow-up never waits: a request that was admitted is completed. Later reads wait for it.
    """
    budget = virtual_budget(2)
    await budget.take(Lane.READ, LONG)
    assert (await refusal_of(budget, Lane.REPEATED_READ)).retry_after == pytest.approx(0.5)
    await budget.take(Lane.READ, LONG)
    await budget.take(Lane.FOLLOW_UP, LONG)
    await budget.take(Lane.FOLLOW_UP, LONG)
    assert now() == pytest.approx(0.5)
    assert (await refusal_of(budget, Lane.READ)).retry_after == pytest.approx(1.5)
    await budget.take(Lane.CREATE, 0.0)


@in_virtual_time
async def test_wait_ends_with_the_deadline_of_the_call() -> None:
    budget = virtual_budget(2)
    await drain(budget, creates=1)
    await refusal_of(budget, Lane.CREATE, within=0.9)
    await budget.take(Lane.CREATE, 1.0)


@in_virtual_time
async def test_read_that_waits_lets_creates_pass() -> None:
    budget = virtual_budget(10)
    order: list[tuple[str, float]] = []

    async def take(lane: Lane) -> None:
        await budget.take(lane, LONG)
        order.append((lane.name, round(now(), 6)))

    for _ in range(5):
        await budget.take(Lane.READ, 0.0)
    read = asyncio.ensure_future(take(Lane.READ))
    await asyncio.sleep(0.05)
    await take(Lane.CREATE)
    await read
    assert order == [("CREATE", 0.05), ("READ", 0.2)]


@in_virtual_time
async def test_reads_may_use_all_that_creates_leave() -> None:
    budget = virtual_budget(10)
    for _ in range(105):
        await budget.take(Lane.READ, LONG)
    assert now() == pytest.approx(10.0)


@pytest.mark.parametrize("ceiling", [0.2, 6.0])
@pytest.mark.parametrize("first", [Lane.READ, Lane.REPEATED_READ])
@in_virtual_time
async def test_read_that_others_crowd_out_gets_its_turn_soon(ceiling: float, first: Lane) -> None:
    """One asker reads all the time. Another comes back as it is told to, and gets one of the next turns."""
    budget = virtual_budget(ceiling)
    crowd = [asyncio.create_task(_reads_all_the_time(budget, "a-crowd", 0.1 + n / 100)) for n in range(30)]
    await asyncio.sleep(60)
    for number in range(5):
        tries = 1
        while not await _reads(budget, first, f"phone-{number}"):
            await asyncio.sleep(2.1)
            tries += 1
            assert tries <= 2 + 1 / ceiling
        await asyncio.sleep(10)
    for task in crowd:
        task.cancel()


@in_virtual_time
async def test_two_who_read_all_the_time_get_the_same() -> None:
    """One asks ten times as often."""
    budget = virtual_budget(6)
    taken: Counter[str] = Counter()
    for asker, pause in (("often", 0.03), ("seldom", 0.3)):
        asyncio.create_task(_reads_all_the_time(budget, asker, pause, taken))  # noqa: RUF006 - ends with the loop.
    await asyncio.sleep(120)
    assert taken["seldom"] >= 0.7 * taken["often"] > 200


@in_virtual_time
async def test_reads_of_one_asker_get_the_whole_rate_while_nobody_else_asks() -> None:
    """A place that is kept for a read that does not come back is kept for seconds."""
    budget = virtual_budget(6)
    for _ in range(6):
        await budget.take(Lane.FOLLOW_UP, LONG)
    await refusal_of(budget, Lane.READ, within=0.0)
    reads, began = 0, now()
    while now() < began + 20:
        reads += await _reads(budget, Lane.REPEATED_READ, "one")
        await asyncio.sleep(0.01)
    assert reads >= 6 * 16


async def _reads(budget: Budget, lane: Lane, asker: str) -> bool:
    try:
        await budget.take(lane, LONG, asker)
    except UpstreamThrottled:
        return False
    return True


async def _reads_all_the_time(
    budget: Budget, asker: str, pause: float = 0.03, taken: Counter[str] | None = None
) -> None:
    taken = Counter() if taken is None else taken
    while True:
        taken[asker] += await _reads(budget, Lane.REPEATED_READ, asker)
        await asyncio.sleep(pause)


@in_virtual_time
async def test_cancelled_create_lets_the_next_one_through() -> None:
    budget = virtual_budget(2)
    await drain(budget, creates=1)
    first, second = (asyncio.ensure_future(budget.take(Lane.CREATE, LONG)) for _ in range(2))
    await asyncio.sleep(0.1)
    first.cancel()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert now() == pytest.approx(1.0)


@in_virtual_time
async def test_create_that_would_wait_for_more_than_two_seconds_is_refused_at_once() -> None:
    """The error says how long. Asking for room answers what a create would get, and takes nothing."""
    budget = virtual_budget(10)
    has_room: list[bool] = []
    waiting: list[asyncio.Future[float]] = []
    for _ in range(18):
        answers = {_has_room(budget) for _ in range(3)}
        assert len(answers) == 1
        has_room += answers
        waiting.append(asyncio.ensure_future(budget.take(Lane.CREATE, LONG)))
        await asyncio.sleep(0)
    assert (await refusal_of(budget, Lane.CREATE)).retry_after == pytest.approx(2.2)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert now() == pytest.approx(2.0)
    assert has_room == [isinstance(outcome, float) for outcome in outcomes] == [True] * 15 + [False] * 3


def _has_room(budget: Budget) -> bool:
    try:
        budget.require_room()
    except UpstreamThrottled:
        return False
    return True


@in_virtual_time
async def test_429_halves_rate_and_burst_once_for_all_calls_that_began_before_it() -> None:
    """They answer to the old rate, and so do the calls of the next seconds."""
    budget = await busy_budget(8)
    began = [await budget.take(Lane.READ, 0.0) for _ in range(3)]
    for turn in began:
        budget.slow_down(turn)
    assert budget.rate == 4.0
    await drain(budget, creates=2)
    assert (await refusal_of(budget, Lane.CREATE, within=0.1)).retry_after == pytest.approx(0.5, rel=0.01)
    await asyncio.sleep(DECREASE_EVERY - 0.1)
    before = budget.rate
    assert decrease(budget) == before
    await asyncio.sleep(0.2)
    assert decrease(budget) < before


@pytest.mark.parametrize(
    ("pauses", "lowered"),
    [([600.0], QUIET_RATE), ([1.0] * 200, 1.0), ([2.0] * 5, 0.5), ([0.0] * 4, 4.0)],
    ids=["quiet", "one-a-second", "new-and-slow", "new-and-busy"],
)
@in_virtual_time
async def test_429_lowers_the_rate_to_the_calls_that_were_made(pauses: list[float], lowered: float) -> None:
    """One step leads to a rate that has an effect; a lack of calls lowers no rate below that of a quiet instance."""
    budget = virtual_budget(8)
    for pause in pauses:
        await asyncio.sleep(pause)
        await budget.take(Lane.READ, 0.0)
    assert decrease(budget) == pytest.approx(lowered, rel=0.1)


@in_virtual_time
async def test_rate_never_falls_to_zero() -> None:
    """However many 429s come, a create is admitted again after some seconds."""
    budget = virtual_budget(10)
    for _ in range(30):
        await asyncio.sleep(DECREASE_EVERY)
        assert decrease(budget) >= LOWEST_RATE
    await drain(budget, creates=1)
    await asyncio.sleep((await refusal_of(budget, Lane.CREATE)).retry_after or 0.0)
    await budget.take(Lane.CREATE, 0.0)


@in_virtual_time
async def test_rate_comes_back_by_time_and_calls() -> None:
    """A busy instance is back where Face refused within 30 s and 120 calls, and then goes on to the ceiling."""
    budget = await busy_budget(8)
    decrease(budget)
    rates = []
    for _ in range(90):
        rates.append(budget.rate)
        await asyncio.sleep(1)
        for _ in range(RECOVERY_CALLS // 20):
            await budget.take(Lane.READ, LONG)
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(4.0, abs=0.1)
    assert rates[int(RECOVERY_SECONDS) // 2] > 0.9 * 8
    assert rates[int(RECOVERY_SECONDS) + 1] == 8.0
    lowered = decrease(budget)
    await asyncio.sleep(RECOVERY_SECONDS)
    assert budget.rate < 1.2 * lowered


@in_virtual_time
async def test_time_without_room_lasts_while_refusals_follow_each_other() -> None:
    """Those of Face count, and those of this instance while Face's 429s keep its rate down; no others."""
    budget = virtual_budget(2)
    await drain(budget, creates=1)
    await refusal_of(budget, Lane.CREATE, within=0.0)
    await asyncio.sleep(1)
    assert budget.throttled_for == 0.0
    decrease(budget)
    await asyncio.sleep(SERIES_GAP - 1)
    budget.slow_down(now())
    await drain(budget, creates=1)
    await refusal_of(budget, Lane.CREATE, within=0.0)
    await asyncio.sleep(SERIES_GAP)
    assert budget.throttled_for == 2 * SERIES_GAP - 1
    await asyncio.sleep(1)
    assert budget.throttled_for == 0.0
    decrease(budget)
    assert budget.throttled_for == 0.0
    await asyncio.sleep(1)
    assert budget.throttled_for == 1.0


@in_virtual_time
async def test_quiet_instance_comes_back_by_time_alone() -> None:
    """Without calls the rate grows as if calls came at the lowest rate, and goes on to the ceiling."""
    budget = virtual_budget(8)
    await asyncio.sleep(600)
    decrease(budget)
    await asyncio.sleep(RECOVERY_SECONDS)
    assert budget.rate < 1.2 * QUIET_RATE
    await asyncio.sleep(0.75 * RECOVERY_CALLS / LOWEST_RATE - RECOVERY_SECONDS)
    assert budget.rate == pytest.approx(2 * QUIET_RATE, rel=0.01)
    await asyncio.sleep(0.25 * RECOVERY_CALLS / LOWEST_RATE)
    assert budget.rate == pytest.approx(5 * 2 * QUIET_RATE)
    await asyncio.sleep(RECOVERY_CALLS / LOWEST_RATE)
    assert budget.rate == 8.0


@in_virtual_time
async def test_decrease_reaches_creates_that_wait_already() -> None:
    """A create whose turn comes too late at the new rate is refused; the others wait for it."""
    budget = await busy_budget(4)
    await drain(budget, creates=2)

    async def create() -> float | None:
        try:
            await budget.take(Lane.CREATE, LONG)
        except UpstreamThrottled:
            return None
        return now() - began

    began = now()
    waiting = [asyncio.ensure_future(create()) for _ in range(4)]
    await asyncio.sleep(0.1)
    decrease(budget)
    first, *_, last = await asyncio.gather(*waiting)
    assert first is not None
    assert 0.5 < first < 1.0
    assert last is None


_STEPS = st.lists(
    st.tuples(st.floats(0, 3), st.sampled_from(["CREATE", "READ", "cancel", "429"]), st.integers(1, 8)),
    max_size=40,
)


class _Traffic:
    """Calls that come and go, and what became of them."""

    def __init__(self, ceiling: float) -> None:
        self.budget = virtual_budget(ceiling)
        self.admitted: list[float] = []
        self.refusals: list[UpstreamThrottled] = []
        self.create_waits: list[float] = []
        self.rates: list[float] = []
        self._tasks: list[asyncio.Future[None]] = []

    async def play(self, steps: list[tuple[float, str, int]]) -> Self:
        for wait, step, number in steps:
            await asyncio.sleep(wait)
            if step == "429":
                self.budget.slow_down(now() - number / 8)
            elif step == "cancel":
                for task in self._tasks[-number:]:
                    task.cancel()
            else:
                self._tasks += [asyncio.ensure_future(self._take(Lane[step])) for _ in range(number)]
            self.rates.append(self.budget.rate)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self

    async def _take(self, lane: Lane) -> None:
        asked_at = now()
        try:
            self.admitted.append(await self.budget.take(lane, LONG))
        except UpstreamThrottled as refusal:
            self.refusals.append(refusal)
        if lane is Lane.CREATE:
            self.create_waits.append(now() - asked_at)


@given(ceiling=st.floats(0.1, 50), steps=_STEPS)
def test_no_window_admits_more_than_ceiling_and_burst(
    ceiling: float, steps: list[tuple[float, str, int]]
) -> None:
    """Whatever comes when, no T seconds have more than ceiling * T + burst calls, and no create waits over 2 s."""

    async def play() -> _Traffic:
        return await _Traffic(ceiling).play(steps)

    traffic = run_in_virtual_time(play())
    for first, begin in enumerate(traffic.admitted):
        for count, end in enumerate(traffic.admitted[first:], start=1):
            assert count <= ceiling * (end - begin) + max(2.0, ceiling) + 1e-6
    assert all(wait <= Lane.CREATE.value + 1e-6 for wait in traffic.create_waits)
    assert all(refusal.retry_after and not refusal.request_sent for refusal in traffic.refusals)
    assert all(LOWEST_RATE <= rate <= ceiling for rate in traffic.rates)


@given(ceiling=st.floats(0.1, 1000), reads=st.integers(1, 60), slowed=st.booleans())
def test_create_is_never_refused_because_of_reads(ceiling: float, reads: int, slowed: bool) -> None:
    """From the lowest setting to the highest, a create finds the part of the burst that is kept for it."""

    async def scenario() -> None:
        budget = virtual_budget(ceiling)
        if slowed:
            decrease(budget)
        await budget.take(Lane.READ, 0.0)
        await asyncio.gather(*(budget.take(Lane.READ, LONG) for _ in range(reads)), return_exceptions=True)
        asked_at = now()
        await budget.take(Lane.CREATE, 0.0)
        assert now() == asked_at

    run_in_virtual_time(scenario())
