"""What the retention job deletes and what it keeps, over memory and Azurite; and runs that are disturbed."""

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from purge_expired.use_case import BOUNDS, MARGIN_MS, Bounds, Tally, purge_expired
from shared.app import App
from shared.errors import EntityChanged, StorageUnavailable
from shared.face.model import SessionStatus
from shared.sessions.record import SessionRecord
from shared.sessions.store import Sessions
from shared.storage.port import Entity, EntityStore, MemoryStore, Table
from shared.storage.tables.rows import place
from tests.support.app import PSEUDONYMS, app_of, pseudonyms_of
from tests.support.intercepted import Call, Effect
from tests.support.store import FakeStore
from tests.support.time import FakeClock

DAY = 86_400
KEPT = 30 * DAY
FUTURE = 2**61


def made_at(now: int, **fields: Any) -> SessionRecord:  # noqa: ANN401 - fields of the record.
    """The record of a session that was published, unless `fields` say otherwise."""
    record = SessionRecord(
        str(uuid.uuid4()), token_hash="h", device="d", created_at=now, token_expires_at=now
    )
    fields = {"status": SessionStatus.EXPIRED, "published_at": now, **fields}
    return replace(record, **fields)


async def add(store: EntityStore, table: Table, count: int, expires_at: int) -> list[str]:
    """Store rows that expire at a time; returns their keys."""
    keys = [f"device-{uuid.uuid4().hex}" for _ in range(count)]
    if table is Table.SESSIONS:
        sessions = Sessions(store, 30, PSEUDONYMS)
        for key in keys:
            await sessions.add(replace(made_at(expires_at - KEPT * 1000), session_id=key))
        return keys
    for key in keys:
        await store.insert(table, Entity(key, {"created": "1"}, expires_at))
    return keys


async def left(store: EntityStore, table: Table) -> set[str]:
    """The keys of all rows."""
    return {entity.key async for entity in store.expired(table, 2**62)}


@pytest.mark.parametrize("table", Table)
async def test_rows_are_deleted_after_their_end_and_not_before(
    app: App, store: EntityStore, clock: FakeClock, table: Table
) -> None:
    """A row stays some minutes after its end, because a request by another clock may still hold it."""
    await add(store, table, 3, clock() - MARGIN_MS - 1)
    still = await add(store, table, 1, clock() - MARGIN_MS)
    live = await add(store, table, 1, clock() + 1)

    tallies = await purge_expired(app)

    assert await left(store, table) == {*still, *live}
    assert tallies[table] == Tally(seen=3, deleted=3)
    clock.advance_seconds(1)
    await purge_expired(app)
    assert await left(store, table) == {*live}


OWED = {"published_at": None}
each_session = pytest.mark.parametrize(
    ("fields", "times"),
    [
        pytest.param({}, 1, id="published"),
        pytest.param({**OWED, "status": SessionStatus.NOT_STARTED, "revoked": True}, 1, id="revoked early"),
        pytest.param(OWED, 2, id="final"),
        pytest.param({**OWED, "status": SessionStatus.STARTED}, 2, id="never settled"),
        pytest.param({**OWED, "revoked": True}, 2, id="revoked after its end"),
    ],
)


@each_session
async def test_session_is_kept_for_its_days_and_twice_as_long_while_its_event_is_owed(
    app: App, clock: FakeClock, caplog: pytest.LogCaptureFixture, fields: dict[str, Any], times: int
) -> None:
    """The operator has time to mend the cause; then it is deleted too, with a warning that names it."""
    caplog.set_level(logging.INFO)
    record = made_at(clock(), **fields)
    await app.sessions.add(record)

    clock.advance_seconds(times * KEPT + MARGIN_MS / 1000)
    assert (await purge_expired(app))[Table.SESSIONS] == Tally()
    clock.advance_seconds(1)
    tally = (await purge_expired(app))[Table.SESSIONS]

    assert await app.sessions.get(record.session_id) is None
    assert tally == Tally(seen=1, deleted=1, unpublished=times - 1)
    assert caplog.records[-1].levelname == ("WARNING" if times == 2 else "INFO")
    named = [record for record in caplog.records if "session_purged_without_event" in record.message]
    assert [(one.levelname, json.loads(one.message)["sessionId"]) for one in named] == [
        ("ERROR", record.session_id)
    ] * (times - 1)


@each_session
async def test_longer_retention_keeps_older_rows_too(
    app: App, store: EntityStore, clock: FakeClock, fields: dict[str, Any], times: int
) -> None:
    """An operator who raises the setting loses no row; each row is renewed once."""
    await app.sessions.add(made_at(clock(), **fields))
    clock.advance_seconds(times * KEPT + DAY)
    longer = app_of(store=store, clock=clock, RECORD_RETENTION_DAYS="60")

    for expected in (Tally(seen=1, put_off=1), Tally()):
        assert (await purge_expired(longer))[Table.SESSIONS] == expected
    clock.advance_seconds(times * KEPT)

    gone = Tally(seen=1, deleted=1, unpublished=times - 1)
    assert (await purge_expired(longer))[Table.SESSIONS] == gone


async def test_run_is_bounded_and_the_next_goes_on(
    app: App, store: EntityStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A backlog is deleted run by run; each run logs counts by table, what is left, and no id."""
    caplog.set_level(logging.INFO)
    for count, table in enumerate((Table.SESSIONS, Table.THROTTLE, Table.IDEMPOTENCY), 2):
        await add(store, table, count, clock() - 2 * MARGIN_MS)

    first, second = [await purge_expired(app, Bounds(rows=3, batch=2)) for _ in range(2)]

    assert [first[table].deleted for table in Table] == [2, 3, 3]
    assert [second[table].deleted for table in Table] == [0, 0, 1]
    counts = {"sessionsDeleted": 2, "throttleDeleted": 3, "idempotencyDeleted": 3}
    events = [json.loads(record.message) for record in caplog.records]
    assert events[0] == counts | {
        "event": "purge_ended",
        "sessionsPutOff": 0,
        "sessionsUnpublished": 0,
        "unfinished": "idempotency",
        "milliseconds": 0,
    }
    assert "unfinished" not in events[1]
    assert {record.levelname for record in caplog.records} == {"INFO"}


async def test_forged_row_is_deleted_by_its_date_and_named(
    app: App, store: EntityStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not stop the run."""
    await store.insert(Table.SESSIONS, Entity("forged", {"status": "?"}, clock() - 2 * MARGIN_MS))
    await add(store, Table.SESSIONS, 1, clock() - 2 * MARGIN_MS)

    assert (await purge_expired(app))[Table.SESSIONS] == Tally(seen=2, deleted=2)
    assert caplog.messages == ['{"event": "record_mac_mismatch", "sessionId": "forged"}']


async def test_sessions_stay_while_the_key_of_their_macs_cannot_be_read(
    app: App, store: EntityStore, clock: FakeClock
) -> None:
    """Nobody can tell then which ones owe an event; the other tables are purged."""
    for table in (Table.SESSIONS, Table.THROTTLE):
        await add(store, table, 1, clock() - 2 * MARGIN_MS)
    keyless = replace(app, pseudonyms=pseudonyms_of(""))

    tallies = await purge_expired(keyless)

    trouble = "expected one value, or several different ones with commas between them"
    assert tallies[Table.SESSIONS] == Tally(seen=1, unfinished=True, trouble=trouble)
    assert tallies[Table.THROTTLE].deleted == 1
    assert len(await left(store, Table.SESSIONS)) == 1


async def test_row_that_is_renewed_before_its_deletion_is_kept(clock: FakeClock) -> None:
    """A request may use it between the walk and the deletion; two runs at once delete each other row once."""
    renewed: list[Entity] = []

    async def renewing(call: Call, effect: Effect) -> object:
        if call.operation == "delete_together" and call.keys and not renewed:
            found = await store.inner.get(Table.THROTTLE, call.keys[0])
            assert found
            fresh = replace(found, values={"renewed": "1"}, expires_at=FUTURE)
            renewed.append(await store.inner.replace(Table.THROTTLE, fresh))
        await asyncio.sleep(0)
        return await effect()

    store = FakeStore()
    store.around = renewing
    await add(store, Table.THROTTLE, 8, clock() - 2 * MARGIN_MS)
    app = app_of(store=store, clock=clock)

    tallies = await asyncio.gather(*(purge_expired(app, Bounds(batch=3)) for _ in range(2)))

    assert [row async for row in store.inner.expired(Table.THROTTLE, 2**62)] == renewed
    assert sum(tally[Table.THROTTLE].deleted for tally in tallies) == 7


async def test_tables_share_the_time_of_a_run(clock: FakeClock) -> None:
    """Each table has its part of the time and what those before it left; rows that were found are deleted."""

    async def slow(_: Call, effect: Effect) -> object:
        answer = await effect()
        # Each row takes a second; the end of a walk and a deletion take no time.
        if isinstance(answer, Entity):
            clock.advance_seconds(1)
        return answer

    store = FakeStore()
    store.around = slow
    await add(store, Table.IDEMPOTENCY, 1, clock() - 2 * MARGIN_MS)
    await add(store, Table.THROTTLE, 20, clock() - 2 * MARGIN_MS)
    started = clock()

    tallies = await purge_expired(app_of(store=store, clock=clock), Bounds(milliseconds=5_000))

    idempotency, throttle = tallies[Table.IDEMPOTENCY], tallies[Table.THROTTLE]
    assert (idempotency.deleted, idempotency.unfinished) == (1, False)
    assert (throttle.deleted, throttle.unfinished) == (9, True)
    assert not tallies[Table.SESSIONS].unfinished
    assert clock() - started == 10_000


def test_run_ends_before_the_host_ends_it() -> None:
    """The tables' time is less than the run's, and that is less than `functionTimeout`, when the host kills it."""
    host_json = json.loads((Path(__file__).parents[2] / "host.json").read_text())
    hours, minutes, seconds = map(int, host_json["functionTimeout"].split(":"))

    assert len(Table) * BOUNDS.milliseconds / 1000 < BOUNDS.seconds
    assert BOUNDS.seconds < (hours * 60 + minutes) * 60 + seconds


async def test_session_that_changes_while_it_is_put_off_is_left_alone(clock: FakeClock) -> None:
    """The other writer wrote the new date too."""
    store = FakeStore()
    longer = app_of(store=store, clock=clock, RECORD_RETENTION_DAYS="60")
    await app_of(store=store, clock=clock).sessions.add(made_at(clock()))
    clock.advance_seconds(KEPT + DAY)
    store.fail("replace", EntityChanged())

    assert (await purge_expired(longer))[Table.SESSIONS] == Tally(seen=1)
    assert len(await left(store, Table.SESSIONS)) == 1


BUSY = "the table service answered 503"


async def hangs(_: Effect) -> object:
    return await asyncio.Event().wait()


async def hangs_at_the_end_of_a_walk(effect: Effect) -> object:
    return await effect() or await asyncio.Event().wait()


async def fails(_: Effect) -> object:
    raise StorageUnavailable(BUSY)


# The trouble is with the table of limits. Lists are of sessions, limits and keys; a run begins with the keys.
@pytest.mark.parametrize(
    ("operation", "trouble", "bounds", "deleted", "unfinished", "logged"),
    [
        ("expired", fails, BOUNDS, [2, 0, 2], [False, True, False], BUSY),
        ("delete_together", fails, BOUNDS, [2, 0, 2], [False, False, False], BUSY),
        (
            "expired",
            hangs_at_the_end_of_a_walk,
            Bounds(milliseconds=20),
            [2, 2, 2],
            [False, True, False],
            None,
        ),
        # The whole run ends here, before it comes to the sessions.
        ("delete_together", hangs, Bounds(seconds=0.01), [0, 0, 2], [True, False, False], "out of time"),
    ],
)
async def test_trouble_with_one_table_is_logged_once_and_left_to_the_next_run(
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    operation: str,
    trouble: Callable[[Effect], Awaitable[object]],
    bounds: Bounds,
    deleted: list[int],
    unfinished: list[bool],
    logged: str | None,
) -> None:
    """It is not raised, and the other tables are purged. A run ends before the host would kill its process."""

    async def around(call: Call, effect: Effect) -> object:
        is_meant = (call.operation, call.table) == (operation, Table.THROTTLE)
        return await (trouble(effect) if is_meant else effect())

    store = FakeStore()
    for table in Table:
        await add(store, table, 2, clock() - 2 * MARGIN_MS)
    store.around = around
    app = app_of(store=store, clock=clock)

    with caplog.at_level("INFO"):
        tallies = await purge_expired(app, bounds)
    store.around = None
    again = await purge_expired(app)

    assert [tallies[table].deleted for table in Table] == deleted
    assert [tallies[table].unfinished for table in Table] == unfinished
    assert [record.levelname for record in caplog.records] == ["WARNING" if logged else "INFO"]
    assert json.loads(caplog.messages[0]).get("trouble") == (logged and f"throttle: {logged}")
    assert [again[table].deleted for table in Table] == [2 - count for count in deleted]


async def test_runs_of_two_days_begin_everywhere(clock: FakeClock) -> None:
    """Where each run has time for a twentieth of a table, they have seen all of it."""
    starts: list[float] = []

    class Watched(MemoryStore):
        def expired(self, table: Table, before: int, start: float = 0.0) -> AsyncIterator[Entity]:
            starts.append(start)
            return super().expired(table, before, start)

    app = app_of(store=Watched(), clock=clock)
    for _ in range(48):
        clock.advance_seconds(3_600)
        await purge_expired(app)

    ordered = sorted(set(starts))
    gaps = [after - before for before, after in zip(ordered, [*ordered[1:], 1 + ordered[0]], strict=True)]
    assert max(gaps) < 1 / 20


async def test_walk_can_begin_at_each_kind_of_throttle_row(clock: FakeClock) -> None:
    """The store knows how the keys of the limits begin, in their order."""
    app = app_of(clock=clock)
    [pepper] = await app.pseudonyms.peppers()
    subjects = app.subjects.of_create(pepper, "0f", "1e", "192.0.2.1", "2d")
    subjects += await app.subjects.of_misses((), "192.0.2.1")

    kinds = sorted(subject.key.partition("-")[0] for subject in subjects)
    assert [place(Table.THROTTLE, number / 5)[1].partition("-")[0] for number in range(5)] == kinds
