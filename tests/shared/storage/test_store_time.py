"""The store's time, whatever the clock of this machine says."""

from email.utils import formatdate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.app import build
from shared.clock import system_clock
from shared.settings import Settings
from shared.storage.azure_table import open_table_store
from shared.storage.port import Table
from shared.storage.store_time import StoreTime
from tests.shared.storage.raw_server import RawServer, answer, refusal
from tests.support.azurite import Azurite

START = 1_800_000_000_000


SPREAD = 50
"""How far apart the store's front ends may be; any answer leaves this much open."""


class World:
    """A store and a machine whose clock is `skew` milliseconds behind the store's, and ever more with a `drift`."""

    def __init__(self, skew: int, drift: float = 0.0) -> None:
        self.store_now = START
        self.skew = skew
        self.drift = drift
        self.time = StoreTime(self._local)

    def _local(self) -> int:
        return self.store_now - self.skew - round((self.store_now - START) * self.drift)

    def exchange(self, pause: int, there: int, back: int, lie: int = 0) -> None:
        """After a pause, ask the store; the ways there and back take some milliseconds."""
        self.store_now += pause
        sent = self.time.local()
        self.store_now += there
        date = formatdate((self.store_now + lie) // 1000, usegmt=True)
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
        assert abs(world.error()) <= min(999 + shortest + SPREAD + 1, abs(skew))


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
    """These come at each eighth millisecond of a second: the error is that, a round trip and the spread."""
    world = World(skew)
    for _ in range(125):
        world.exchange(pause=137, there=3, back=4)

    assert abs(world.error()) <= 8 + 7 + SPREAD


@given(
    skew=skews,
    drift=st.floats(-199e-6, 199e-6),
    plan=st.lists(
        st.tuples(st.integers(0, 600_000), st.integers(0, 100), st.integers(0, 100), st.integers(-40, 40)),
        min_size=1,
        max_size=60,
    ),
)
def test_clocks_that_drift_and_front_ends_that_differ_throw_away_nothing(
    skew: int, drift: float, plan: list[tuple[int, int, int, int]]
) -> None:
    """Each answer leaves an error of about a second at most, and none moves the clock past the truth."""
    world = World(skew, drift)
    for pause, there, back, apart in plan:
        world.store_now += pause
        before = abs(world.error())
        world.exchange(0, there, back, apart)
        # The clock drifts on during the call: less than a millisecond.
        assert abs(world.error()) <= before + 1
        assert abs(world.error()) <= 999 + there + back + 2 * SPREAD


@pytest.mark.parametrize("skew", [-3_000, 3_000])
@pytest.mark.parametrize("drift", [-50e-6, 50e-6])
def test_clock_seconds_off_jumps_no_more_once_it_is_right(skew: int, drift: float) -> None:
    """Over an hour of answers from front ends 20 ms apart, after the first minute no step is worth the name."""
    world, chance = World(skew, drift), Random(1)  # noqa: S311 - a pattern, not a secret.
    steps, last = [], 0
    for _ in range(36_000):
        world.exchange(chance.randrange(200), 3, 4, chance.choice([-10, 10]))
        steps.append(abs(world.time.offset_ms - last))
        last = world.time.offset_ms

    assert max(steps[600:]) <= SPREAD
    assert abs(world.error()) <= 2 * SPREAD


@given(
    plan=st.lists(st.tuples(st.integers(0, 5_000), delays, delays), min_size=1, max_size=20),
    place=st.integers(1, 20),
    lie=st.one_of(st.integers(-86_400_000, -10_000), st.integers(10_000, 86_400_000)),
    skew=skews,
    liars=st.integers(1, 4),
)
def test_a_few_wrong_answers_among_right_ones_move_nothing(
    plan: list[tuple[int, int, int]], place: int, lie: int, skew: int, liars: int
) -> None:
    """A front end whose clock is off opens no limit, not even for the next call."""
    world = World(skew)
    for step in plan[:place]:
        world.exchange(*step)
    learned = world.time.offset_ms
    for _ in range(liars):
        world.exchange(10, 3, 4, lie)
        assert world.time.offset_ms == learned
    error = abs(world.error())
    for step in plan[place:]:
        world.exchange(*step)
        assert abs(world.error()) <= error


def test_wrong_answers_that_never_agree_are_never_believed() -> None:
    """A front end that has lost its mind is not a clock that was set anew."""
    world = World(skew=0)
    world.exchange(0, 3, 4)
    for number in range(50):
        world.exchange(137, 3, 4, lie=60_000 * (1 + number % 7))
        assert world.time.offset_ms == 0


def test_wrong_answers_between_right_ones_are_never_believed() -> None:
    """However many there are: each right one in between says that no clock was set anew."""
    world = World(skew=0)
    world.exchange(0, 3, 4)
    for number in range(50):
        world.exchange(137, 3, 4, lie=3_600_000 if number % 4 else 0)
        assert world.time.offset_ms == 0


@pytest.mark.parametrize("step", [-60_000, 60_000])
def test_clock_that_is_set_anew_is_learned_anew(step: int) -> None:
    """Five answers that contradict the others, and none of each other, put those out of force."""
    world = World(skew=2_000)
    for _ in range(20):
        world.exchange(pause=137, there=3, back=4)
    world.skew += step

    for _ in range(4):
        world.exchange(pause=137, there=3, back=4)
    assert abs(world.error()) > 50_000
    world.exchange(pause=137, there=3, back=4)

    assert abs(world.error()) <= 1_006 + SPREAD


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


async def test_app_goes_by_the_stores_time_from_its_first_decision_on() -> None:
    """An instance whose clock is an hour behind charges at the store's time, on the very first request."""
    hour_ahead = {"Date": formatdate(system_clock() // 1000 + 3_600, usegmt=True)}
    stored = answer(204, headers={"ETag": 'W/"1"', **hour_ahead})
    async with RawServer([refusal(404, "ResourceNotFound", hour_ahead), stored]) as server:
        settings = {"FACE_REGION": "westeurope", "FACE_KEY": "a-key", "ID_PEPPER": "a-pepper" * 4}
        app = build(Settings.from_mapping(settings | {"AzureWebJobsStorage": server.connection_string}))
        admission = await app.limiter.admit(await app.subjects.of_create("a" * 64, None, None))
        now = app.clock()
        await app.aclose()

    assert abs(admission.charges[0].stamp - system_clock() - 3_600_000) < 60_000
    assert abs(now - system_clock() - 3_600_000) < 60_000


async def test_refusal_teaches_the_time_as_well() -> None:
    """Each answer of the service carries its time, whatever else it says."""
    hour_ahead = formatdate(system_clock() // 1000 + 3_600, usegmt=True)
    async with RawServer([refusal(404, "ResourceNotFound", {"Date": hour_ahead})]) as server:
        time = StoreTime(system_clock)
        store = open_table_store(server.connection_string, store_time=time)
        await store.get(Table.SESSIONS, "a")
        await store.aclose()

    assert abs(time.offset_ms - 3_600_000) < 60_000
