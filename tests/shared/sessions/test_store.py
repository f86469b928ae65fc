"""Session records in the store: what is written is read, and a lost race is run again."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from shared.errors import SessionNotFound, StorageUnavailable
from shared.face.model import SessionResult
from shared.sessions.record import SessionRecord
from shared.sessions.store import Sessions, Stored, from_entity, retention_days_of
from shared.storage.port import Entity, Table
from tests.shared.sessions.test_record import NEW, SESSION_ID, steps
from tests.support.intercepted import Call, Effect
from tests.support.store import FakeStore

DAY_MS = 86_400_000


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def stored(store: FakeStore) -> Stored:
    """A new record in the store."""
    sessions = Sessions(store, retention_days=30)
    await sessions.add(NEW)
    return await sessions.reload(SESSION_ID)


def overtake(store: FakeStore, times: int) -> None:
    """Let another writer come first, so many times: each one notes one more read."""
    left = times

    async def around(call: Call, effect: Effect) -> Any:  # noqa: ANN401 - of any call.
        nonlocal left
        if call.operation == "replace" and left:
            left -= 1
            entity = await store.inner.get(Table.SESSIONS, SESSION_ID)
            assert entity
            record = from_entity(entity).record
            other = Sessions(store.inner, retention_days=30)
            await other.replace(Stored(record, entity.etag), replace(record, reads=(*record.reads, left)))
        return await effect()

    store.around = around


def revoked(record: SessionRecord) -> SessionRecord:
    return record.as_revoked(2_000)


@given(steps)
async def test_record_survives_the_store(results: list[tuple[SessionResult, int]]) -> None:
    """What is written is what is read."""
    sessions = Sessions(FakeStore(), retention_days=30)
    await sessions.add(NEW)
    record = NEW
    for result, now in results:
        record = record.with_result(result, now)
    record = replace(record, reads=(1, 2), caller="c", principal="p", client_reference="r", revoked=True)
    await sessions.replace(await sessions.reload(SESSION_ID), record)

    assert (await sessions.reload(SESSION_ID)).record == record


@pytest.mark.parametrize("races", [0, 1, 4])
async def test_change_is_made_over_the_other_writers_record(
    store: FakeStore, stored: Stored, races: int
) -> None:
    """Neither write is lost, and the result can be changed again."""
    sessions = Sessions(store, retention_days=30)
    overtake(store, races)

    changed = await sessions.change(stored, revoked)

    record = (await sessions.reload(SESSION_ID)).record
    assert changed.record == record
    assert (record.revoked, len(record.reads)) == (True, races)
    assert (await sessions.change(changed, lambda record: record.as_deleted_upstream(3))).record.history[1:]


async def test_change_that_loses_every_race_fails(store: FakeStore, stored: Stored) -> None:
    """The caller hears of it; nothing was changed."""
    sessions = Sessions(store, retention_days=30)
    overtake(store, 5)

    with pytest.raises(StorageUnavailable, match="too busy"):
        await sessions.change(stored, revoked)

    assert not (await sessions.reload(SESSION_ID)).record.revoked


async def test_change_without_effect_writes_nothing(store: FakeStore, stored: Stored) -> None:
    """A poll that brings nothing new costs no write."""
    unchanged = await Sessions(store, retention_days=30).change(stored, lambda record: record)

    assert (unchanged, store.count("replace")) == (stored, 0)


async def test_purged_record_is_not_found(store: FakeStore, stored: Stored) -> None:
    """Also where it was purged between the read and a lost race."""
    sessions = Sessions(store, retention_days=30)
    await sessions.remove(SESSION_ID)

    assert await sessions.get(SESSION_ID) is None
    with pytest.raises(SessionNotFound):
        await sessions.change(stored, revoked)


@pytest.mark.parametrize(
    ("record", "days"),
    [
        pytest.param(NEW, 60, id="its event is owed"),
        pytest.param(NEW.as_revoked(2_000), 30, id="it has no event"),
        pytest.param(NEW.expired(2_000).as_published(2_000), 30, id="its event is published"),
    ],
)
async def test_record_expires_after_its_retention(store: FakeStore, record: SessionRecord, days: int) -> None:
    """Twice as long while its event is not published. Raised retention extends a row, lowered leaves it."""
    await Sessions(store, retention_days=30).add(record)
    entity = await store.inner.get(Table.SESSIONS, SESSION_ID)
    assert entity
    assert (entity.expires_at, retention_days_of(entity)) == (record.created_at + days * DAY_MS, 30)

    assert not await Sessions(store, retention_days=30).put_off(from_entity(entity), entity.expires_at)
    assert await Sessions(store, retention_days=45).put_off(from_entity(entity), entity.expires_at)
    extended = await store.inner.get(Table.SESSIONS, SESSION_ID)
    assert extended
    assert retention_days_of(extended) == 45


@pytest.mark.parametrize(
    "broken", [{"status": "?"}, {"history": "no json"}, {"attempts": "many"}, {"token_hash": None}]
)
async def test_broken_row_is_a_lasting_failure(
    store: FakeStore, stored: Stored, broken: dict[str, str | None]
) -> None:
    """A row that somebody edited does not mend itself."""
    entity = await store.inner.get(Table.SESSIONS, SESSION_ID)
    assert entity
    values = {name: value for name, value in {**entity.values, **broken}.items() if value is not None}

    with pytest.raises(StorageUnavailable, match="cannot be read") as unreadable:
        from_entity(Entity(SESSION_ID, values, 0, ""))
    assert unreadable.value.lasting
