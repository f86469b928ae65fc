"""The store's time, whatever the clock of this machine says."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import system_clock
from shared.storage.azure_table import open_table_store
from shared.storage.port import Table
from shared.storage.store_time import StoreTime
from tests.storage.raw_server import RawServer, refusal
from tests.support.azurite import Azurite

START = 1_800_000_000_000


class World:
    """A store and a machine whose clock is `skew` milliseconds behind the store's."""

    def __init__(self, skew: int) -> None:
        self.store_now = START
        self.skew = skew
        self.time = StoreTime(lambda: self.store_now - self.skew)

    def exchange(self, pause: int, there: int, back: int) -> None:
        """After a pause, ask the store; the ways there and back take some milliseconds."""
        self.store_now += pause
        sent = self.time.local()
        self.store_now += there
        date = formatdate(self.store_now // 1000, usegmt=True)
        self.store_now += back
        self.time.observe(sent, self.time.local(), date)

    def error(self) -> int:
        return self.time.now() - self.store_now


delays = st.integers(0, 2_000)
exchanges = st.lists(st.tuples(st.integers(0, 5_000), delays, delays), min_size=1, max_size=30)
skews = st.integers(-100_000, 100_000)


def test_clock_is_believed_until_the_store_answers() -> None:
    """Before the first answer the local time is all there is."""
    assert World(skew=5_000).time.offset_ms == 0


@given(skew=skews, plan=exchanges)
def test_error_is_never_more_than_a_second_and_the_shortest_round_trip(
    skew: int, plan: list[tuple[int, int, int]]
) -> None:
    """Whatever the clock and the network do, the bounds hold, and what one answer taught is not lost."""
    world = World(skew)
    shortest = 10**9
    for pause, there, back in plan:
        world.exchange(pause, there, back)
        shortest = min(shortest, there + back)
        assert abs(world.error()) <= min(999 + shortest, abs(skew))


@given(skew=skews, plan=exchanges)
def test_error_never_grows_with_an_answer(skew: int, plan: list[tuple[int, int, int]]) -> None:
    """More answers only ever narrow the bounds while neither clock is set anew."""
    world = World(skew)
    last = abs(skew)
    for step in plan:
        world.exchange(*step)
        assert abs(world.error()) <= last
        last = abs(world.error())


@given(plan=exchanges)
def test_right_clock_is_never_moved(plan: list[tuple[int, int, int]]) -> None:
    """Instances whose clocks agree with the store's keep them: nothing jumps."""
    world = World(skew=0)
    for step in plan:
        world.exchange(*step)
        assert world.time.offset_ms == 0


@pytest.mark.parametrize("skew", [-30_000, -700, 400, 5_000])
def test_answers_at_many_points_of_the_second_leave_an_error_of_milliseconds(skew: int) -> None:
    """These come at each eighth millisecond of a second: the error is no more than that and a round trip."""
    world = World(skew)
    for _ in range(125):
        world.exchange(pause=137, there=3, back=4)

    assert abs(world.error()) <= 8 + 7


@pytest.mark.parametrize("step", [-60_000, 60_000])
def test_clock_that_is_set_anew_is_learned_anew(step: int) -> None:
    """An answer that contradicts the others puts them out of force."""
    world = World(skew=2_000)
    for _ in range(20):
        world.exchange(pause=137, there=3, back=4)
    world.skew += step

    world.exchange(pause=137, there=3, back=4)

    assert abs(world.error()) <= 1_006


def test_clock_set_back_during_a_request_teaches_nothing() -> None:
    """An answer that came before it was asked for says nothing about the clocks."""
    time = StoreTime(lambda: START)

    time.observe(START + 10, START, formatdate(START // 1000 - 50, usegmt=True))

    assert time.offset_ms == 0


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Foo 2026 10:00:00 GMT", "0"])
def test_answer_without_a_usable_date_teaches_nothing(date: str | None) -> None:
    """What is no date is not read as one."""
    time = StoreTime(lambda: START)

    time.observe(START, START, date)

    assert time.offset_ms == 0


@pytest.mark.parametrize("skew", [-3_600_000, 3_600_000], ids=["ahead", "behind"])
async def test_store_learns_from_each_answer(azurite: Azurite, prefix: str, skew: int) -> None:
    """A machine whose clock is an hour off knows the store's time with the first answer."""
    time = StoreTime(lambda: system_clock() - skew)
    store = open_table_store(azurite.connection_string, prefix=prefix, create_tables=True, store_time=time)

    await store.get(Table.SESSIONS, "a")

    assert abs(time.offset_ms - skew) < 60_000
    await store.aclose()


async def test_refusal_teaches_the_time_as_well() -> None:
    """Each answer of the service carries its time, whatever else it says."""
    hour_ahead = formatdate(system_clock() // 1000 + 3_600, usegmt=True)
    async with RawServer([refusal(404, "ResourceNotFound", {"Date": hour_ahead})]) as server:
        time = StoreTime(system_clock)
        store = open_table_store(server.connection_string, store_time=time)
        await store.get(Table.SESSIONS, "a")
        await store.aclose()

    assert abs(time.offset_ms - 3_600_000) < 60_000
