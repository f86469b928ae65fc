import asyncio
import json
import logging
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import EntityChanged, StorageUnavailable, UpstreamThrottled
from shared.face.budget import LONGEST_PAUSE, Budget, Lane
from shared.face.shared_budget import ALIVE_MS, BEAT_MS, SharedBudget
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, Table
from tests.shared.face.json_values import unhurried
from tests.support.time import run_in_virtual_time

LONG = 60.0
BEAT = BEAT_MS / 1000
ALIVE = ALIVE_MS / 1000
KEY = "face-budget"


def now() -> float:
    return asyncio.get_running_loop().time()


def clock() -> int:
    return 1_700_000_000_000 + round(now() * 1000)


class WeakStore(MemoryStore):
    """A store that can be down, and in which others can be faster."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.races_to_lose = 0
        self.calls = 0

    async def get(self, table: Table, key: str) -> Entity | None:
        self.calls += 1
        if self.down:
            raise StorageUnavailable("down for the test")
        return await super().get(table, key)

    async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        await asyncio.sleep(0.01)
        if self.races_to_lose:
            self.races_to_lose -= 1
            raise EntityChanged
        return await super().write_together(table, entities)


class Instance:
    """One instance's budget, with what is inside of it."""

    def __init__(self, store: MemoryStore, name: str = "one", rate: float = 12.0) -> None:
        self.own = Budget(rate, monotonic=now)
        draw = Random(name).random  # noqa: S311 - not for secrets.
        self.shared = SharedBudget(self.own, store, clock, instance=name, random=draw)

    async def call(self, lane: Lane = Lane.CREATE) -> None:
        await self.shared.take(lane, LONG)

    async def calls_for(self, seconds: float, every: float = 1.0) -> list[float]:
        """Call again and again; answers when each call was admitted."""
        admitted, end = [], now() + seconds
        while now() < end:
            try:
                await self.call()
                admitted.append(now())
            except UpstreamThrottled:
                pass
            await asyncio.sleep(every)
        await self.shared.aclose()
        return admitted


def test_instance_that_is_alone_has_the_whole_rate() -> None:
    """Where nobody else calls Face, nothing is given away."""

    async def scenario() -> float:
        alone = Instance(WeakStore())
        await alone.calls_for(2 * ALIVE)
        return alone.own.rate

    assert run_in_virtual_time(scenario()) == 12.0


def test_instances_that_all_want_more_come_to_equal_parts() -> None:
    """Each is counted although all of them begin, and write the same row, at the same moment."""

    async def scenario() -> list[float]:
        store = WeakStore()
        instances = [Instance(store, f"instance-{number}") for number in range(4)]
        await asyncio.gather(*(instance.calls_for(8 * BEAT, every=0.02) for instance in instances))
        return [instance.own.rate for instance in instances]

    assert run_in_virtual_time(scenario()) == pytest.approx([3.0] * 4, abs=0.2)


def test_what_others_do_not_use_is_there_for_who_does() -> None:
    """Ten instances with a call now and then do not keep the eleventh from its work."""

    async def scenario() -> tuple[float, float]:
        store = WeakStore()
        quiet = [Instance(store, f"quiet-{number}") for number in range(10)]
        busy = Instance(store, "busy")

        async def now_and_then(number: int, one: Instance) -> list[float]:
            await asyncio.sleep(number / 2)
            return await one.calls_for(6 * BEAT, every=8.0)

        admitted, *_ = await asyncio.gather(
            busy.calls_for(6 * BEAT, every=0.02), *(now_and_then(*place) for place in enumerate(quiet))
        )
        late = [at for at in admitted if at > 3 * BEAT]
        return len(late) / (late[-1] - late[0]), quiet[0].own.rate

    served, of_a_quiet_one = run_in_virtual_time(scenario())
    # All quiet ones together make 1.25 calls a second.
    assert served == pytest.approx(12 - 10 / 8, abs=0.5)
    # And one that wakes up has its part at once.
    assert of_a_quiet_one >= 12 / 11


def test_later_instance_knows_of_the_others_before_its_first_call() -> None:
    """The first call of an instance waits for what is known of the others."""

    async def scenario() -> tuple[float, float]:
        store = WeakStore()
        first, second = Instance(store, "one"), Instance(store, "two")
        await first.calls_for(3 * BEAT, every=0.02)
        await second.call()
        return first.own.rate, second.own.rate

    assert run_in_virtual_time(scenario()) == (12.0, 6.0)


def test_part_of_an_instance_that_is_gone_goes_to_the_others() -> None:
    """Who has not called for thirty seconds is counted no more."""

    async def scenario() -> tuple[float, float]:
        store = WeakStore()
        staying, going = Instance(store, "one"), Instance(store, "two")
        await asyncio.gather(*(one.calls_for(6 * BEAT, every=0.02) for one in (staying, going)))
        shared = staying.own.rate
        await staying.calls_for(ALIVE + BEAT, every=0.02)
        return shared, staying.own.rate

    assert run_in_virtual_time(scenario()) == pytest.approx((6.0, 12.0), abs=0.3)


def test_pause_of_one_instance_keeps_the_others_away() -> None:
    """A 429 that one instance got is known to the others with their next beat, and to new ones at once."""

    async def scenario() -> tuple[list[float], float | None]:
        store = WeakStore()
        told, other, later = (Instance(store, name) for name in ("one", "two", "three"))
        await asyncio.gather(told.call(), other.call())
        told.shared.pause(40)
        await asyncio.sleep(1)
        with pytest.raises(UpstreamThrottled) as refusal:
            await later.call()
        admitted = await other.calls_for(60)
        return admitted, refusal.value.retry_after

    admitted, retry_after = run_in_virtual_time(scenario())
    assert retry_after == pytest.approx(39, abs=0.1)
    assert not [at for at in admitted if BEAT + 2 < at < 40]
    assert [at for at in admitted if at > 40]


def test_shorter_pause_does_not_hide_a_longer_one_that_is_untold() -> None:
    """Two refusals before anybody could be told: what the others hear is the longer wait."""

    async def scenario() -> float | None:
        store = WeakStore()
        told, later = Instance(store, "one"), Instance(store, "two")
        await told.call()
        told.shared.pause(40)
        told.shared.pause(1)
        await asyncio.sleep(1)
        with pytest.raises(UpstreamThrottled) as refusal:
            await later.call()
        return refusal.value.retry_after

    assert run_in_virtual_time(scenario()) == pytest.approx(39, abs=0.1)


def test_pause_that_comes_during_a_beat_is_told_with_the_next_call() -> None:
    """What was said too late for the write that is under way is said again."""

    async def scenario() -> float | None:
        store = WeakStore()
        told, later = Instance(store, "one"), Instance(store, "two")
        first = asyncio.ensure_future(told.call())
        await asyncio.sleep(0.005)
        told.shared.pause(40)
        await asyncio.gather(first, return_exceptions=True)
        await asyncio.sleep(1)
        with pytest.raises(UpstreamThrottled):
            await told.call()
        await asyncio.sleep(0.5)
        with pytest.raises(UpstreamThrottled) as refusal:
            await later.call()
        return refusal.value.retry_after

    assert run_in_virtual_time(scenario()) == pytest.approx(38.5, abs=0.1)


def test_store_that_is_down_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """What was known last counts on, one warning a beat says so, and the row is written when it can be."""

    async def scenario() -> tuple[tuple[float, float], tuple[float, float]]:
        store = WeakStore()
        first, second = Instance(store, "one"), Instance(store, "two")
        await asyncio.gather(*(one.calls_for(6 * BEAT, every=0.02) for one in (first, second)))
        store.down = True
        unknowing = Instance(store, "three")
        await asyncio.gather(first.calls_for(BEAT), unknowing.calls_for(BEAT))
        in_the_dark = (first.own.rate, unknowing.own.rate)
        assert caplog.records
        assert {json.loads(record.getMessage())["event"] for record in caplog.records} == {
            "face_share_unknown"
        }
        store.down = False
        later = (one.calls_for(8 * BEAT, every=0.02) for one in (first, unknowing))
        await asyncio.gather(*later)
        return in_the_dark, (first.own.rate, unknowing.own.rate)

    with caplog.at_level(logging.WARNING):
        in_the_dark, in_the_light = run_in_virtual_time(scenario())
    assert in_the_dark == pytest.approx((6.0, 12.0), abs=0.3)
    assert in_the_light == pytest.approx((6.0, 6.0), abs=0.3)


def test_lost_races_are_run_again() -> None:
    """Another instance's write in between does not leave this one out of the row."""

    async def scenario() -> list[str]:
        store = WeakStore()
        store.races_to_lose = 3
        await Instance(store, "one").calls_for(5)
        row = await store.get(Table.THROTTLE, KEY)
        assert row is not None
        return list(json.loads(str(row.values["instances"])))

    assert run_in_virtual_time(scenario()) == ["one"]


def test_row_is_written_once_a_beat_however_many_calls_there_are() -> None:
    """The store is asked every ten seconds, not with each call."""

    async def scenario() -> int:
        store = WeakStore()
        await Instance(store, rate=1000).calls_for(10 * BEAT, every=0.01)
        return store.calls

    assert 10 <= run_in_virtual_time(scenario()) <= 13


@pytest.mark.parametrize(
    "instances",
    [
        "",
        "[]",
        "null",
        "7",
        '{"two": "x"}',
        '{"two": null}',
        '{"two": 1}',
        '{"two": [1e999, 1]}',
        '{"two": [1700000000000, "x"]}',
        '{"two": [1700000000000, 1e999]}',
        '{"two": [1700000000000, -7]}',
        '{"two": [1700000000000, NaN]}',
        '{"two": [1700000000000, 1, 1]}',
    ],
    ids=repr,
)
def test_row_that_cannot_be_read_says_of_nobody(instances: str) -> None:
    """Whatever is in the row, calls go on, and the next beat puts it right."""

    async def scenario() -> tuple[float, float]:
        store = WeakStore()
        row = Entity(KEY, {"instances": instances, "paused_until": "never"}, clock() + ALIVE_MS)
        await store.insert(Table.THROTTLE, row)
        instance = Instance(store)
        await instance.call()
        alone = instance.own.rate
        await asyncio.gather(
            *(one.calls_for(6 * BEAT, every=0.02) for one in (instance, Instance(store, "three")))
        )
        return alone, instance.own.rate

    assert run_in_virtual_time(scenario()) == pytest.approx((12.0, 6.0), abs=0.3)


def test_row_cannot_keep_anybody_away_for_longer_than_the_longest_pause() -> None:
    """A pause that lies in the far future is cut to a minute, as one that Face asks for."""

    async def scenario() -> float | None:
        store = WeakStore()
        row = Entity(KEY, {"instances": "{}", "paused_until": clock() + 10**9}, clock() + ALIVE_MS)
        await store.insert(Table.THROTTLE, row)
        with pytest.raises(UpstreamThrottled) as refusal:
            await Instance(store).call()
        return refusal.value.retry_after

    assert run_in_virtual_time(scenario()) == pytest.approx(LONGEST_PAUSE, abs=0.1)


def test_pause_ends_although_the_clock_is_set_back() -> None:
    """Whatever the clock of the store does meanwhile, nobody is kept away for longer than the longest pause."""

    async def scenario() -> list[bool]:
        store, back = WeakStore(), 0

        def wrong_clock() -> int:
            return clock() - back

        budgets = [Budget(12.0, monotonic=now) for _ in range(2)]
        shared = [
            SharedBudget(budget, store, wrong_clock, instance=f"instance-{number}")
            for number, budget in enumerate(budgets)
        ]
        for one in shared:
            await one.take(Lane.CREATE, LONG)
        shared[0].pause(30)
        await asyncio.sleep(1)
        back = 3_600_000
        admitted = []
        for _ in range(30):
            await asyncio.sleep(10)
            for one in shared:
                try:
                    await one.take(Lane.CREATE, LONG)
                    admitted.append(True)
                except UpstreamThrottled:
                    admitted.append(False)
        return admitted

    # Of five minutes, the last three are free.
    assert all(run_in_virtual_time(scenario())[24:])


def test_row_stays_small_however_many_are_started() -> None:
    """A crowd of short lives does not make a row that cannot be written."""

    async def scenario() -> int:
        store = WeakStore()
        many = {f"instance-{number}": [clock() - 1, 0.123] for number in range(500)}
        row = Entity(KEY, {"instances": json.dumps(many), "paused_until": 0}, clock() + ALIVE_MS)
        await store.insert(Table.THROTTLE, row)
        await Instance(store).call()
        written = await store.get(Table.THROTTLE, KEY)
        assert written is not None
        return len(json.loads(str(written.values["instances"])))

    assert run_in_virtual_time(scenario()) == 301


@unhurried
@given(rate=st.floats(2, 40), beginnings=st.lists(st.floats(0, 30), min_size=1, max_size=6))
def test_all_instances_together_keep_to_the_rate(rate: float, beginnings: list[float]) -> None:
    """However many come and whenever, once all know of each other they make no more calls than one alone may."""

    async def scenario() -> tuple[list[float], float]:
        store = WeakStore()

        async def life(number: int, begins: float) -> tuple[list[float], float]:
            await asyncio.sleep(begins)
            instance = Instance(store, f"instance-{number}", rate)
            admitted = await instance.calls_for(120 - begins, every=0.02)
            return admitted, instance.own.burst

        lives = await asyncio.gather(*(life(*place) for place in enumerate(beginnings)))
        settled = max(beginnings) + 5 * BEAT
        return sorted(at for admitted, _ in lives for at in admitted if at > settled), sum(
            burst for _, burst in lives
        )

    admitted, bursts = run_in_virtual_time(scenario())
    for first, begin in enumerate(admitted[::7]):
        for count, end in enumerate(admitted[first * 7 :: 5]):
            assert count * 5 + 1 <= rate * (end - begin) + bursts + 1e-6
    # And no less than that: the parts add up to the whole.
    assert len(admitted) >= 0.9 * rate * (admitted[-1] - admitted[0])
