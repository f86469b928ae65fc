import asyncio
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamThrottled
from shared.face.budget import LONGEST_PAUSE, Budget, Lane
from tests.shared.face.json_values import unhurried
from tests.support.time import run_in_virtual_time

LONG = 60.0


def now() -> float:
    return asyncio.get_running_loop().time()


def virtual_budget(rate: float) -> Budget:
    return Budget(rate, monotonic=asyncio.get_running_loop().time)


async def drain(budget: Budget) -> None:
    """Take the whole burst."""
    for _ in range(int(budget.burst)):
        await budget.take(Lane.CREATE, LONG)


def test_burst_is_admitted_at_once_and_then_the_rate() -> None:
    """After the burst, creates come through one by one at the rate, in the order in which they came."""

    async def scenario() -> list[tuple[int, float]]:
        budget = virtual_budget(10)
        admitted: list[tuple[int, float]] = []

        async def create(number: int) -> None:
            await budget.take(Lane.CREATE, LONG)
            admitted.append((number, round(now(), 6)))

        await asyncio.gather(*(create(number) for number in range(8)))
        return admitted

    expected = [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0), (5, 0.1), (6, 0.2), (7, 0.3)]
    assert expected == run_in_virtual_time(scenario())


def test_create_that_would_wait_too_long_is_refused_at_once() -> None:
    """The first create that would wait for more than 2 s is told so without waiting, and how long it would be."""

    async def scenario() -> tuple[int, UpstreamThrottled, float]:
        budget = virtual_budget(10)
        await drain(budget)
        waiting = [asyncio.ensure_future(budget.take(Lane.CREATE, LONG)) for _ in range(20)]
        await asyncio.sleep(0)
        with pytest.raises(UpstreamThrottled) as refusal:
            await budget.take(Lane.CREATE, LONG)
        refused_at = now()
        await asyncio.gather(*waiting)
        return len(waiting), refusal.value, refused_at

    waiting, refusal, refused_at = run_in_virtual_time(scenario())
    assert (waiting, refused_at) == (20, 0.0)
    assert refusal.retry_after == pytest.approx(2.1)
    assert not refusal.request_sent


def test_read_that_would_wait_too_long_is_refused_at_once() -> None:
    """A read waits for a quarter of a second at most, and takes nothing that is kept for creates."""

    async def scenario() -> UpstreamThrottled:
        budget = virtual_budget(2)
        await budget.take(Lane.READ, LONG)
        with pytest.raises(UpstreamThrottled) as refusal:
            await budget.take(Lane.READ, LONG)
        await budget.take(Lane.CREATE, 0.0)
        return refusal.value

    refusal = run_in_virtual_time(scenario())
    assert refusal.retry_after == pytest.approx(0.5)
    assert not refusal.request_sent


def test_wait_ends_with_the_deadline_of_the_call() -> None:
    """A create with little time left does not wait for the two seconds that it could."""

    async def scenario() -> None:
        budget = virtual_budget(1)
        await drain(budget)
        with pytest.raises(UpstreamThrottled):
            await budget.take(Lane.CREATE, 0.5)
        assert now() == 0.0
        await budget.take(Lane.CREATE, 1.0)

    run_in_virtual_time(scenario())


def test_creates_go_ahead_of_reads_that_wait() -> None:
    """A read that waits lets creates pass that came after it, and comes through once they are served."""

    async def scenario() -> list[tuple[str, float]]:
        budget = virtual_budget(100)
        await drain(budget)
        await asyncio.sleep(0.1)
        order: list[tuple[str, float]] = []

        async def take(lane: Lane, name: str) -> None:
            await budget.take(lane, LONG)
            order.append((name, round(now(), 6)))

        read = asyncio.ensure_future(take(Lane.READ, "read"))
        await asyncio.sleep(0.05)
        await asyncio.gather(*(take(Lane.CREATE, f"create {number}") for number in range(3)))
        await read
        return order

    expected = [("create 0", 0.15), ("create 1", 0.15), ("create 2", 0.15), ("read", 0.29)]
    assert expected == run_in_virtual_time(scenario())


def test_read_is_refused_where_waiting_creates_come_first() -> None:
    """While creates wait for their turn, a read is told how long it takes until there is room for it too."""

    async def scenario() -> float | None:
        budget = virtual_budget(10)
        await drain(budget)
        creates = [asyncio.ensure_future(budget.take(Lane.CREATE, LONG)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(UpstreamThrottled) as refusal:
            await budget.take(Lane.READ, LONG)
        await asyncio.gather(*creates)
        return refusal.value.retry_after

    assert run_in_virtual_time(scenario()) == pytest.approx((1 + 2.5 + 3) / 10)


def test_creates_are_not_starved_by_reads() -> None:
    """However many reads ask, a create is admitted at once every second."""

    async def scenario() -> list[float]:
        budget = virtual_budget(10)

        async def poll() -> None:
            while True:
                try:
                    await budget.take(Lane.READ, LONG)
                except UpstreamThrottled as refusal:
                    await asyncio.sleep(refusal.retry_after or 0.0)

        polls = [asyncio.ensure_future(poll()) for _ in range(50)]
        waits = []
        for _ in range(20):
            await asyncio.sleep(1)
            asked_at = now()
            await budget.take(Lane.CREATE, LONG)
            waits.append(now() - asked_at)
        for task in polls:
            task.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
        return waits

    assert run_in_virtual_time(scenario()) == [0.0] * 20


def test_reads_get_what_creates_leave() -> None:
    """Below the rate, reads come through beside creates."""

    async def scenario() -> int:
        budget = virtual_budget(10)
        reads = 0
        for _ in range(50):
            await budget.take(Lane.CREATE, LONG)
            await budget.take(Lane.READ, LONG)
            reads += 1
            await asyncio.sleep(0.2)
        return reads

    assert run_in_virtual_time(scenario()) == 50


def test_pause_keeps_everybody_away_until_it_is_over() -> None:
    """After a pause was asked for, no call is admitted before its end, and the refused are told when that is."""

    async def scenario() -> None:
        budget = virtual_budget(10)
        budget.pause(5)
        budget.pause(1)
        for lane in Lane:
            with pytest.raises(UpstreamThrottled) as refusal:
                await budget.take(lane, LONG)
            assert refusal.value.retry_after == pytest.approx(5)
        await asyncio.sleep(4)
        await budget.take(Lane.CREATE, LONG)
        assert now() == pytest.approx(5)
        await budget.take(Lane.READ, LONG)

    run_in_virtual_time(scenario())


def test_pause_reaches_those_who_wait_already() -> None:
    """A create that was waiting when the pause began waits for its end, or is refused where that is too late."""

    async def scenario() -> list[float | None]:
        budget = virtual_budget(1)
        await drain(budget)

        async def create() -> float | None:
            try:
                await budget.take(Lane.CREATE, LONG)
            except UpstreamThrottled:
                return None
            return now()

        waiting = [asyncio.ensure_future(create()) for _ in range(2)]
        await asyncio.sleep(0.5)
        budget.pause(1)
        return await asyncio.gather(*waiting)

    assert run_in_virtual_time(scenario()) == [1.5, 2.0]


def test_pause_is_a_minute_at_most() -> None:
    """A mistaken wait of a day does not shut the broker off for a day."""

    async def scenario() -> float | None:
        budget = virtual_budget(10)
        budget.pause(86_400)
        with pytest.raises(UpstreamThrottled) as refusal:
            await budget.take(Lane.CREATE, LONG)
        return refusal.value.retry_after

    assert run_in_virtual_time(scenario()) == LONGEST_PAUSE


@pytest.mark.parametrize("rate", [0.1, 20 / 60, 1, 10, 1000])
def test_either_lane_is_admitted_at_any_rate(rate: float) -> None:
    """From the slowest setting to the fastest there is room for a read and for a create."""

    async def scenario() -> None:
        budget = virtual_budget(rate)
        await budget.take(Lane.READ, LONG)
        await budget.take(Lane.CREATE, LONG)

    run_in_virtual_time(scenario())


def test_cancelled_create_lets_the_next_one_through() -> None:
    """A create that goes away while it waits neither takes a turn nor keeps others from theirs."""

    async def scenario() -> float:
        budget = virtual_budget(1)
        await drain(budget)
        first, second = (asyncio.ensure_future(budget.take(Lane.CREATE, LONG)) for _ in range(2))
        await asyncio.sleep(0.1)
        first.cancel()
        await second
        with pytest.raises(asyncio.CancelledError):
            await first
        return now()

    assert run_in_virtual_time(scenario()) == pytest.approx(1.0)


_STEPS = st.lists(
    st.tuples(
        st.floats(0, 1.5),
        st.sampled_from(["CREATE", "READ", "cancel", "pause"]),
        st.integers(1, 8),
    ),
    max_size=40,
)


class _Traffic:
    """Calls that come and go, and what became of them."""

    def __init__(self, rate: float) -> None:
        self.budget = virtual_budget(rate)
        self.admitted: list[float] = []
        self.refusals: list[UpstreamThrottled] = []
        self.create_waits: list[float] = []
        self._tasks: list[asyncio.Future[None]] = []

    async def play(self, steps: list[tuple[float, str, int]]) -> Self:
        for wait, step, number in steps:
            await asyncio.sleep(wait)
            if step == "pause":
                self.budget.pause(number / 4)
            elif step == "cancel":
                for task in self._tasks[-number:]:
                    task.cancel()
            else:
                self._tasks += [asyncio.ensure_future(self._take(Lane[step])) for _ in range(number)]
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self

    async def _take(self, lane: Lane) -> None:
        asked_at = now()
        try:
            await self.budget.take(lane, LONG)
            self.admitted.append(now())
        except UpstreamThrottled as refusal:
            self.refusals.append(refusal)
        if lane is Lane.CREATE:
            self.create_waits.append(now() - asked_at)


async def _play(rate: float, steps: list[tuple[float, str, int]]) -> _Traffic:
    return await _Traffic(rate).play(steps)


@unhurried
@given(rate=st.floats(0.1, 50), steps=_STEPS)
def test_no_window_admits_more_than_rate_and_burst(rate: float, steps: list[tuple[float, str, int]]) -> None:
    """Whatever comes when, no window of T seconds has more than rate * T + burst calls, and no wait exceeds 2 s."""
    traffic = run_in_virtual_time(_play(rate, steps))
    for first, begin in enumerate(traffic.admitted):
        for count, end in enumerate(traffic.admitted[first:], start=1):
            assert count <= rate * (end - begin) + traffic.budget.burst + 1e-6
    assert all(wait <= Lane.CREATE.value + 1e-6 for wait in traffic.create_waits)
    assert all(refusal.retry_after and not refusal.request_sent for refusal in traffic.refusals)


@unhurried
@given(rate=st.floats(1, 50), reads=st.integers(1, 30))
def test_create_is_never_refused_because_of_reads(rate: float, reads: int) -> None:
    """However many reads came before, a create finds the part of the burst that is kept for it."""

    async def scenario() -> None:
        budget = virtual_budget(rate)
        await asyncio.gather(*(budget.take(Lane.READ, LONG) for _ in range(reads)), return_exceptions=True)
        asked_at = now()
        await budget.take(Lane.CREATE, 0.0)
        assert now() == asked_at

    run_in_virtual_time(scenario())


def test_room_is_refused_just_where_a_create_would_be() -> None:
    """Who asks beforehand hears what a create would, and takes nothing by asking."""

    async def scenario() -> tuple[list[bool], list[bool]]:
        budget = virtual_budget(10)
        await drain(budget)
        waiting: list[asyncio.Future[None]] = []
        has_room = []
        for _ in range(22):
            answers = [_has_room(budget) for _ in range(3)]
            assert len(set(answers)) == 1
            has_room.append(answers[0])
            waiting.append(asyncio.ensure_future(budget.take(Lane.CREATE, LONG)))
            await asyncio.sleep(0)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        return has_room, [outcome is None for outcome in outcomes]

    has_room, admitted = run_in_virtual_time(scenario())
    assert has_room == admitted == [True] * 20 + [False] * 2


def _has_room(budget: Budget) -> bool:
    try:
        budget.require_room()
    except UpstreamThrottled:
        return False
    return True
