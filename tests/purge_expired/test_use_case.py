"""What the retention job deletes and what it leaves, over memory and Azurite."""

import json
import logging
import uuid
from dataclasses import replace
from typing import Any

import pytest

from purge_expired.use_case import MARGIN_MS, Bounds, Tally, purge_expired
from shared.app import App
from shared.face.model import SessionStatus
from shared.sessions.record import SessionRecord
from shared.storage.port import Entity, EntityStore, Table
from tests.purge_expired.conftest import RETENTION_DAYS, app_over
from tests.support.time import FakeClock

DAY = 86_400
KEPT = RETENTION_DAYS * DAY


def made_at(now: int, **fields: Any) -> SessionRecord:  # noqa: ANN401 - fields of the record.
    """The record of a session that was published, unless something else is said."""
    record = SessionRecord(
        str(uuid.uuid4()), token_hash="h", device="d", created_at=now, token_expires_at=now
    )
    fields = {"status": SessionStatus.EXPIRED, "published_at": now, **fields}
    return replace(record, **fields)


async def add(store: EntityStore, table: Table, count: int, expires_at: int) -> list[str]:
    """Store rows that end at a time; answers their keys."""
    keys = [f"device-{uuid.uuid4().hex}" for _ in range(count)]
    for key in keys:
        await store.insert(table, Entity(key, {"created": "1"}, expires_at))
    return keys


async def left(store: EntityStore, table: Table) -> set[str]:
    """The keys of all rows."""
    return {entity.key async for entity in store.expired(table, 2**62)}


def ended(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The events that runs logged at their end."""
    found = [json.loads(r.message) for r in caplog.records if r.name == "purge_expired.use_case"]
    return [event for event in found if event["event"] == "purge_ended"]


@pytest.mark.parametrize("table", Table)
async def test_rows_go_when_they_mean_nothing_and_not_before(
    app: App, store: EntityStore, clock: FakeClock, table: Table
) -> None:
    """A row goes some minutes after its end, because a request by another clock may still hold it."""
    over = await add(store, table, 3, clock() - MARGIN_MS - 1)
    still = await add(store, table, 1, clock() - MARGIN_MS)
    live = await add(store, table, 1, clock() + 1)

    tallies = await purge_expired(app)

    assert await left(store, table) == {*still, *live}
    assert tallies[table] == Tally(seen=3, deleted=3)
    clock.advance_seconds(1)
    await purge_expired(app)
    assert await left(store, table) == {*live}
    assert over


async def test_session_is_kept_for_its_days(app: App, store: EntityStore, clock: FakeClock) -> None:
    """A published session goes after `RECORD_RETENTION_DAYS`, and is unknown from then on."""
    record = made_at(clock())
    await app.sessions.add(record)

    clock.advance_seconds(KEPT + MARGIN_MS / 1000)
    await purge_expired(app)
    assert await app.sessions.get(record.session_id)
    clock.advance_seconds(1)
    tallies = await purge_expired(app)

    assert await app.sessions.get(record.session_id) is None
    assert tallies[Table.SESSIONS] == Tally(seen=1, deleted=1)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"published_at": None}, id="final"),
        pytest.param({"published_at": None, "status": SessionStatus.STARTED}, id="never settled"),
        pytest.param({"published_at": None, "revoked": True}, id="revoked after its end"),
    ],
)
async def test_session_whose_event_is_owed_is_kept_twice_as_long_and_told(
    app: App, clock: FakeClock, caplog: pytest.LogCaptureFixture, fields: dict[str, Any]
) -> None:
    """There is time to mend what stands in the way; after that it goes too, with a warning."""
    caplog.set_level(logging.INFO)
    record = made_at(clock(), **fields)
    await app.sessions.add(record)

    clock.advance_seconds(2 * KEPT)
    await purge_expired(app)
    assert await app.sessions.get(record.session_id)
    clock.advance_seconds(DAY)
    await purge_expired(app)

    assert await app.sessions.get(record.session_id) is None
    first, second = ended(caplog)
    assert (first["sessionsUnpublished"], second["sessionsUnpublished"]) == (0, 1)
    assert caplog.records[-1].levelname == "WARNING"
    [named] = [r for r in caplog.records if "session_purged_without_event" in r.message]
    assert (named.levelname, json.loads(named.message)["sessionId"]) == ("ERROR", record.session_id)


async def test_session_that_is_published_at_last_goes_at_once(app: App, clock: FakeClock) -> None:
    """What was owed is done, so the days of every session count again."""
    record = made_at(clock(), published_at=None)
    await app.sessions.add(record)
    clock.advance_seconds(KEPT + DAY)
    await purge_expired(app)

    stored = await app.sessions.reload(record.session_id)
    await app.sessions.replace(stored, record.as_published(clock()))
    tallies = await purge_expired(app)

    assert await app.sessions.get(record.session_id) is None
    assert (tallies[Table.SESSIONS].deleted, tallies[Table.SESSIONS].unpublished) == (1, 0)


async def test_revoked_session_goes_with_the_others(app: App, clock: FakeClock) -> None:
    """A session that was revoked before its end has no event to wait for."""
    record = made_at(clock(), published_at=None, status=SessionStatus.NOT_STARTED, revoked=True)
    await app.sessions.add(record)

    clock.advance_seconds(KEPT + DAY)

    assert (await purge_expired(app))[Table.SESSIONS] == Tally(seen=1, deleted=1)


async def test_days_that_are_more_now_keep_what_was_written_with_less(
    app: App, store: EntityStore, clock: FakeClock
) -> None:
    """An operator who raises the setting loses nothing that is still there; each row is looked at once for it."""
    record = made_at(clock())
    await app.sessions.add(record)
    clock.advance_seconds(KEPT + DAY)
    longer = app_over(store, clock, 2 * RETENTION_DAYS)

    first = await purge_expired(longer)
    again = await purge_expired(longer)

    assert first[Table.SESSIONS] == Tally(seen=1, put_off=1)
    assert again[Table.SESSIONS] == Tally()
    assert await app.sessions.get(record.session_id)
    clock.advance_seconds(KEPT)
    assert (await purge_expired(longer))[Table.SESSIONS] == Tally(seen=1, deleted=1)
    await longer.aclose()


async def test_run_takes_so_many_rows_and_the_next_goes_on(
    app: App, store: EntityStore, clock: FakeClock
) -> None:
    """A backlog is worked off run by run; each says whether something is left."""
    for table in Table:
        await add(store, table, 7, clock() - 2 * MARGIN_MS)
    bounds = Bounds(rows=3, batch=2)

    runs = [await purge_expired(app, bounds) for _ in range(3)]

    for table in Table:
        assert [run[table].deleted for run in runs] == [3, 3, 1]
        assert [run[table].unfinished for run in runs] == [True, True, False]
        assert await left(store, table) == set()


async def test_run_logs_one_event_with_what_it_did(
    app: App, store: EntityStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator sees counts by table, and no id."""
    caplog.set_level(logging.INFO)
    for count, table in enumerate(Table, 1):
        await add(store, table, count, clock() - 2 * MARGIN_MS)

    await purge_expired(app, Bounds(rows=2))

    assert ended(caplog) == [
        {
            "event": "purge_ended",
            "idempotencyDeleted": 2,
            "throttleDeleted": 2,
            "sessionsDeleted": 1,
            "sessionsPutOff": 0,
            "sessionsUnpublished": 0,
            "unfinished": "idempotency",
            "milliseconds": 0,
        }
    ]
    assert {record.levelname for record in caplog.records} == {"INFO"}


async def test_row_that_nobody_can_read_goes_by_its_date(
    app: App, store: EntityStore, clock: FakeClock
) -> None:
    """One broken row does not keep all others from being purged."""
    await add(store, Table.SESSIONS, 1, clock() - 2 * MARGIN_MS)
    await app.sessions.add(made_at(clock() - KEPT * 1000 - 2 * MARGIN_MS))

    assert (await purge_expired(app))[Table.SESSIONS] == Tally(seen=2, deleted=2)
