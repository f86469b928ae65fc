"""Runs that meet other runs, renewals, trouble and the end of their time, over a store that the test disturbs."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purge_expired.use_case import BOUNDS, MARGIN_MS, Bounds, purge_expired
from shared.errors import EntityChanged, StorageUnavailable
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, Table
from tests.purge_expired.conftest import app_over
from tests.purge_expired.test_use_case import KEPT, add, left, made_at
from tests.support.time import FakeClock

FUTURE = 2**61
ROWS = 8


class DisturbedStore(MemoryStore):
    """Lets something happen before each row that a walk answers, and before each deletion."""

    async def happen(self) -> None:
        """Do nothing; tests say what."""

    async def expired(self, table: Table, before: int) -> AsyncIterator[Entity]:
        """Walk, and be disturbed between two rows."""
        async for entity in super().expired(table, before):
            await self.happen()
            yield entity

    async def delete_together(self, table: Table, entities: Sequence[Entity]) -> int:
        """Delete, after a disturbance."""
        await self.happen()
        return await super().delete_together(table, entities)


@dataclass
class Plan:
    """What happens at each point: a number of turns for others, and a row that is renewed, if any."""

    steps: list[tuple[int, int | None]]
    renewed: set[str] = field(default_factory=set)


class PlannedStore(DisturbedStore):
    """Disturbs as the plan says; a row that is gone when it is renewed is made anew, as requests do."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    async def happen(self) -> None:
        """Take the next step of the plan."""
        if not self._plan.steps:
            return
        turns, row = self._plan.steps.pop(0)
        if row is not None:
            await self._renew(f"row-{row}")
        for _ in range(turns):
            await asyncio.sleep(0)

    async def _renew(self, key: str) -> None:
        found = await self.get(Table.THROTTLE, key)
        fresh = Entity(key, {"renewed": "1"}, FUTURE, found.etag if found else "")
        await (self.replace if found else self.insert)(Table.THROTTLE, fresh)
        self._plan.renewed.add(key)


steps = st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, ROWS - 1)), max_size=40)


@settings(max_examples=200, deadline=None)
@given(steps=steps, batch=st.integers(1, ROWS), rows=st.integers(1, ROWS), runs=st.integers(1, 3))
def test_runs_at_once_delete_what_is_over_and_nothing_that_was_renewed(
    steps: list[tuple[int, int | None]], batch: int, rows: int, runs: int
) -> None:
    """Whatever happens between scan and deletion, a renewed row stays, and each deletion is counted once."""

    async def run() -> None:
        clock, plan = FakeClock(), Plan(list(steps))
        store = PlannedStore(plan)
        app = app_over(store, clock)
        for number in range(ROWS):
            await store.insert(Table.THROTTLE, Entity(f"row-{number}", {"a": "1"}, clock() - 2 * MARGIN_MS))
        bounds = Bounds(rows=rows, batch=batch)
        tallies = await asyncio.gather(*(purge_expired(app, bounds) for _ in range(runs)))
        plan.steps.clear()

        after = await left(store, Table.THROTTLE)
        assert plan.renewed <= after
        assert all(not tally[Table.THROTTLE].trouble for tally in tallies)
        # A row that was deleted and then renewed was deleted once all the same.
        assert sum(tally[Table.THROTTLE].deleted for tally in tallies) >= ROWS - len(after)
        assert sum(tally[Table.THROTTLE].deleted for tally in tallies) <= ROWS

        await purge_expired(app)
        assert await left(store, Table.THROTTLE) == plan.renewed
        await app.aclose()

    asyncio.run(run())


async def test_session_that_changes_while_it_is_put_off_is_left_alone(clock: FakeClock) -> None:
    """Whoever wrote it meanwhile wrote its new date too."""

    class Busy(MemoryStore):
        async def replace(self, table: Table, entity: Entity) -> Entity:
            """Always come second."""
            raise EntityChanged

    store = Busy()
    short, longer = app_over(store, clock), app_over(store, clock, 60)
    record = made_at(clock())
    await short.sessions.add(record)
    clock.advance_seconds(KEPT + 86_400)

    tally = (await purge_expired(longer))[Table.SESSIONS]

    assert (tally.seen, tally.deleted, tally.put_off, tally.trouble) == (1, 0, 0, None)
    assert await short.sessions.get(record.session_id)
    await short.aclose()
    await longer.aclose()


async def test_time_that_is_up_ends_the_run_and_is_shared_by_the_tables(clock: FakeClock) -> None:
    """Each table has its part of the time and what those before it left; what was found is deleted first."""

    class Slow(DisturbedStore):
        async def happen(self) -> None:
            """Take a second."""
            clock.advance_seconds(1)

    store = Slow()
    app = app_over(store, clock)
    await add(store, Table.IDEMPOTENCY, 1, clock() - 2 * MARGIN_MS)
    await add(store, Table.THROTTLE, 20, clock() - 2 * MARGIN_MS)

    tallies = await purge_expired(app, Bounds(milliseconds=5_000))

    idempotency, throttle = tallies[Table.IDEMPOTENCY], tallies[Table.THROTTLE]
    assert (idempotency.deleted, idempotency.unfinished) == (1, False)
    assert (throttle.deleted, throttle.unfinished) == (8, True)
    assert not tallies[Table.SESSIONS].unfinished
    await app.aclose()


def test_run_ends_before_the_host_ends_it() -> None:
    """All tables' time is less than the run's, and that is less than `functionTimeout`, after which a worker dies."""
    host_json = json.loads((Path(__file__).parents[2] / "host.json").read_text())
    hours, minutes, seconds = map(int, host_json["functionTimeout"].split(":"))

    assert len(Table) * BOUNDS.milliseconds / 1000 < BOUNDS.seconds
    assert BOUNDS.seconds < (hours * 60 + minutes) * 60 + seconds


async def test_walk_that_finds_nothing_more_leaves_what_it_found_deleted(clock: FakeClock) -> None:
    """A store that looks on and on does not keep the rows that it found already, nor the other tables."""

    class Endless(MemoryStore):
        async def expired(self, table: Table, before: int) -> AsyncIterator[Entity]:
            """Find what there is, and in one table look on for ever."""
            async for entity in super().expired(table, before):
                yield entity
            if table is Table.IDEMPOTENCY:
                await asyncio.Event().wait()

    store = Endless()
    app = app_over(store, clock)
    for table in Table:
        await add(store, table, 2, clock() - 2 * MARGIN_MS)

    tallies = await purge_expired(app, Bounds(milliseconds=20))

    assert [tallies[table].deleted for table in Table] == [2, 2, 2]
    assert [table for table in Table if tallies[table].unfinished] == [Table.IDEMPOTENCY]
    await app.aclose()


async def test_run_that_hangs_is_ended_and_logged(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """The host would end the process, and with it the requests of phones: the run ends before."""

    class Hanging(MemoryStore):
        async def delete_together(self, table: Table, entities: Sequence[Entity]) -> int:
            """Never come back."""
            await asyncio.Event().wait()
            return 0

    store = Hanging()
    app = app_over(store, clock)
    await add(store, Table.IDEMPOTENCY, 1, clock() - 2 * MARGIN_MS)

    with caplog.at_level("INFO"):
        tallies = await purge_expired(app, Bounds(seconds=0.01))

    assert [table for table in Table if tallies[table].unfinished] == [Table.SESSIONS, Table.THROTTLE]
    assert '"trouble": "idempotency: out of time"' in caplog.text
    await app.aclose()


@pytest.mark.parametrize("fails", ["expired", "delete_together"])
async def test_trouble_of_the_store_is_logged_once_and_left_to_the_next_run(
    clock: FakeClock, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    """Nothing is raised; the other tables are purged, and the next run does the rest."""

    class Troubled(MemoryStore):
        down = True

        def _fail(self, operation: str, table: Table) -> None:
            if self.down and (operation, table) == (fails, Table.THROTTLE):
                raise StorageUnavailable("the table service answered 503")

        async def expired(self, table: Table, before: int) -> AsyncIterator[Entity]:
            """Walk, if the table is there."""
            self._fail("expired", table)
            async for entity in super().expired(table, before):
                yield entity

        async def delete_together(self, table: Table, entities: Sequence[Entity]) -> int:
            """Delete, if the table is there."""
            self._fail("delete_together", table)
            return await super().delete_together(table, entities)

    store = Troubled()
    app = app_over(store, clock)
    for table in Table:
        await add(store, table, 2, clock() - 2 * MARGIN_MS)

    with caplog.at_level("INFO"):
        troubled = await purge_expired(app)
    store.down = False
    mended = await purge_expired(app)

    assert [troubled[table].deleted for table in Table] == [2, 0, 2]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert '"trouble": "throttle: the table service answered 503"' in caplog.text
    assert mended[Table.THROTTLE].deleted == 2
    await app.aclose()


async def test_row_renewed_between_scan_and_deletion_keeps_its_content(clock: FakeClock) -> None:
    """A limit that a device has used up is not forgotten by a run that read the row before."""

    class Renewing(DisturbedStore):
        async def happen(self) -> None:
            """Charge the row once more."""
            row = await self.get(Table.THROTTLE, "device-1")
            assert row
            await self.replace(Table.THROTTLE, replace(row, values={"created": "2"}, expires_at=FUTURE))

    store = Renewing()
    app = app_over(store, clock)
    await store.insert(Table.THROTTLE, Entity("device-1", {"created": "1"}, clock() - 2 * MARGIN_MS))

    tally = (await purge_expired(app))[Table.THROTTLE]

    row = await store.get(Table.THROTTLE, "device-1")
    assert row
    assert (tally.deleted, dict(row.values)) == (0, {"created": "2"})
    await app.aclose()


async def test_first_run_of_an_app_whose_clock_is_ahead_goes_by_the_stores_time(clock: FakeClock) -> None:
    """Rows that others still need do not go because one machine's clock is wrong."""

    class TellingStore(DisturbedStore):
        """The first answer tells the app that its clock is an hour ahead."""

        told = False

        async def check(self) -> None:
            """Answer, and so tell the time."""
            self._tell()

        async def happen(self) -> None:
            """Any other answer tells it as well."""
            self._tell()

        def _tell(self) -> None:
            if not self.told:
                self.told = True
                clock.advance_seconds(-3_600)

    store = TellingStore()
    app = app_over(store, clock)
    ends_soon = Entity("a", {}, clock() - 1_800_000)
    await store.insert(Table.IDEMPOTENCY, ends_soon)

    tallies = await purge_expired(app)

    assert (tallies[Table.IDEMPOTENCY].deleted, tallies[Table.IDEMPOTENCY].unfinished) == (0, False)
    assert await left(store, Table.IDEMPOTENCY) == {"a"}
    await app.aclose()
