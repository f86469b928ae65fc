"""Session records in the store: what is written is read, and a lost race is run again."""

import asyncio
import hashlib
import hmac
import json
import logging
import math
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import KeyUnavailable, SessionNotFound, StorageUnavailable
from shared.face import v1_3_preview_1
from shared.face.calls import LARGEST_BODY
from shared.face.model import SessionResult
from shared.http_port import HttpAnswer
from shared.pseudonyms import Pseudonyms
from shared.sessions.record import SessionRecord, Step
from shared.sessions.store import Sessions, Stored, from_entity, retention_days_of, unverified
from shared.storage.port import Entity, Table, Value
from shared.text import LATEST
from tests.shared.sessions.test_record import DIGEST, NEW, SESSION_ID, steps
from tests.support import junk
from tests.support.app import PSEUDONYMS, pseudonyms_of
from tests.support.broker import PEPPER
from tests.support.intercepted import Call, Effect
from tests.support.store import FakeStore

DAY_MS = 86_400_000

# As short as an attempt of Face can be, and as long as what it names can be.
SHORT = {"attemptId": 1, "attemptStatus": "Succeeded", "result": {"livenessDecision": "spoofface"}}
NAME = "a" * 123
FLAGS = [{"sessionId": f"{NAME}{number:05}"} for number in range(440)]
ADDRESSES = [{"ip": f"{NAME}{number:05}"} for number in range(460)]


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def stored(store: FakeStore) -> Stored:
    """A new record in the store."""
    sessions = Sessions(store, 30, PSEUDONYMS)
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
            record = (await from_entity(entity, PSEUDONYMS)).record
            other = Sessions(store.inner, 30, PSEUDONYMS)
            await other.replace(Stored(record, entity.etag), replace(record, reads=(*record.reads, 5 - left)))
        return await effect()

    store.around = around


def with_mac(entity: Entity) -> Entity:
    """The row with the MAC that each release reads, computed by other means."""
    key = HKDF(SHA256(), 32, salt=None, info=b"session record").derive(PEPPER.encode())
    values = [[name, value] for name, value in sorted(entity.values.items()) if name != "mac"]
    content = json.dumps([entity.key, entity.expires_at, values])
    mac = hmac.new(key, content.encode(), hashlib.sha256).hexdigest()
    return replace(entity, values={**entity.values, "mac": mac})


def revoked(record: SessionRecord) -> SessionRecord:
    return record.as_revoked(2_000)


@given(steps)
async def test_record_survives_the_store(results: list[tuple[SessionResult, int]]) -> None:
    """What is written is what is read."""
    sessions = Sessions(FakeStore(), 30, PSEUDONYMS)
    await sessions.add(NEW)
    record = NEW
    for result, now in results:
        record = record.with_result(result, now)
    record = record.with_digest(DIGEST).as_settled()
    record = replace(record, reads=(1, 2), caller="c", principal="p", client_reference="r", revoked=True)
    await sessions.replace(await sessions.reload(SESSION_ID), record)

    assert (await sessions.reload(SESSION_ID)).record == record


@pytest.mark.parametrize("races", [0, 1, 4])
async def test_change_is_made_over_the_other_writers_record(
    store: FakeStore, stored: Stored, races: int
) -> None:
    """Neither write is lost, and the result can be changed again."""
    sessions = Sessions(store, 30, PSEUDONYMS)
    overtake(store, races)

    changed = await sessions.change(stored, revoked)

    record = (await sessions.reload(SESSION_ID)).record
    assert changed.record == record
    assert (record.revoked, len(record.reads)) == (True, races)
    assert (await sessions.change(changed, lambda record: record.as_deleted_upstream(3))).record.history[1:]


async def test_change_that_loses_every_race_fails(store: FakeStore, stored: Stored) -> None:
    """The caller gets the error; nothing was changed."""
    sessions = Sessions(store, 30, PSEUDONYMS)
    overtake(store, 5)

    with pytest.raises(StorageUnavailable, match="too busy"):
        await sessions.change(stored, revoked)

    assert not (await sessions.reload(SESSION_ID)).record.revoked


async def test_change_without_effect_writes_nothing(store: FakeStore, stored: Stored) -> None:
    """A poll that brings nothing new costs no write."""
    unchanged = await Sessions(store, 30, PSEUDONYMS).change(stored, lambda record: record)

    assert (unchanged, store.count("replace")) == (stored, 0)


async def test_purged_record_is_not_found(store: FakeStore, stored: Stored) -> None:
    """Also where it was purged between the read and a lost race."""
    sessions = Sessions(store, 30, PSEUDONYMS)
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
    await Sessions(store, 30, PSEUDONYMS).add(record)
    entity = await store.inner.get(Table.SESSIONS, SESSION_ID)
    assert entity
    assert (entity.expires_at, retention_days_of(entity)) == (record.created_at + days * DAY_MS, 30)

    stored = await from_entity(entity, PSEUDONYMS)
    assert not await Sessions(store, 30, PSEUDONYMS).put_off(stored, entity.expires_at)
    assert await Sessions(store, 45, PSEUDONYMS).put_off(stored, entity.expires_at)
    extended = await store.inner.get(Table.SESSIONS, SESSION_ID)
    assert extended
    assert retention_days_of(extended) == 45


GOOD: Mapping[str, Value] = {
    "token_hash": "h",
    "device": "d",
    "created_at": 1_000,
    "token_expires_at": 601_000,
    "status": "ResultAvailable",
    "decision": "realface",
    "digest": "A" * 64,
    "attempts": 1,
    "completed_at": 3_000,
    "revoked": False,
    "digest_required": True,
    "digest_matches": True,
    "abuse_is_failure": True,
    "abuse_detected": False,
    "decided": '[[2000, "spoofface", 1], [3000, "realface", 2]]',
    "reads": "[1000, 2000]",
    "history": '[[1000, "created"]]',
}


@pytest.mark.parametrize(
    "broken",
    [
        *[{"status": "?"}, {"status": "NotStarted"}, {"status": "Expired"}, {"decision": "?"}],
        *[{"history": "no json"}, {"history": "{}"}, {"history": "[[1]]"}, {"history": '[["1", "created"]]'}],
        *[{"history": "[[1000, 7]]"}, {"reads": '["1"]'}, {"reads": "[2, 1]"}, {"reads": "[true]"}],
        *[
            {"reads": junk.DEEP},
            {"attempts": "1"},
            {"attempts": math.inf},
            {"attempts": -1},
            {"attempts": True},
        ],
        *[{"created_at": "1000"}, {"created_at": -1}, {"created_at": LATEST + 1}, {"completed_at": 1.5}],
        *[{"decided": "[[1]]"}, {"flagged_sessions": "[1]"}, {"client_addresses": "{}"}, {"settled": "yes"}],
        *[{"digest_matches": "true"}, {"abuse_detected": 1}, {"abuse_is_failure": 0}],
        *[{"digest": 7}, {"revoked": "true"}, {"failure_code": 1}, {"token_hash": None}, {"status": None}],
    ],
    ids=lambda broken: repr(broken)[:40],
)
def test_broken_row_is_a_lasting_failure(broken: dict[str, Value | None]) -> None:
    """A row that somebody edited does not mend itself, and is not read as something that it does not say."""
    values = {name: value for name, value in {**GOOD, **broken}.items() if value is not None}

    with pytest.raises(StorageUnavailable, match="cannot be read") as unreadable:
        unverified(Entity(SESSION_ID, values, 0, ""))
    assert unreadable.value.lasting


async def test_steps_and_columns_of_another_release_are_kept(store: FakeStore) -> None:
    """Two releases share the table while one replaces the other: neither loses what the other wrote."""
    sessions = Sessions(store, 30, PSEUDONYMS)
    values = {**GOOD, "a_new_column": 7, "history": '[[1000, "created"], [2000, "a new step"]]'}
    await store.insert(Table.SESSIONS, with_mac(Entity(SESSION_ID, values, 0)))

    changed = await sessions.change(await sessions.reload(SESSION_ID), revoked)

    entity = await store.inner.get(Table.SESSIONS, SESSION_ID)
    assert entity
    assert entity.values["a_new_column"] == 7
    assert [step for _, step in changed.record.history] == ["created", "a new step", Step.REVOKED]
    assert [entry.event for entry in changed.record.audit()] == ["created", "a new step", "revoked"]


def fits(entity: Entity, pseudonyms: Pseudonyms = PSEUDONYMS) -> bool:
    """Whether a row is read, or refused because of its MAC."""
    try:
        asyncio.run(from_entity(entity, pseudonyms))
    except StorageUnavailable as refused:
        assert refused.lasting  # noqa: PT017 - most rows raise, and none has to.
        return "does not fit its MAC" not in refused.detail
    return True


ROW = with_mac(Entity(SESSION_ID, {**GOOD, "a_new_column": 7}, 50_000))


@given(st.sampled_from([*ROW.values, "caller", "another_column"]), st.none() | junk.VALUES)
@example("attempts", True)
@example("attempts", 1.0)
@example("revoked", 0)
@example("mac", None)
@example("mac", "")
@example("another_column", datetime(2026, 1, 1, tzinfo=UTC))
@example("another_column", b"bytes")
@example("another_column", uuid.UUID(int=0))
def test_row_with_any_other_column_is_refused(name: str, value: Any) -> None:  # noqa: ANN401 - of any type.
    """A column that is changed, added or removed: those that only another release knows, and the MAC, too.

    An operator can add one of a type that the broker never writes.
    """
    values = {key: one for key, one in {**ROW.values, name: value}.items() if one is not None}

    # Their reprs, because 1, 1.0 and True are equal.
    assert fits(replace(ROW, values=values)) == (repr(values) == repr(ROW.values))


OTHER_ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("row", "pseudonyms", "expected"),
    [
        pytest.param(ROW, PSEUDONYMS, True, id="as written"),
        pytest.param(replace(ROW, etag="another"), PSEUDONYMS, True, id="the etag is the store's"),
        pytest.param(replace(ROW, key=OTHER_ID), PSEUDONYMS, False, id="of another session"),
        pytest.param(replace(ROW, expires_at=50_001), PSEUDONYMS, False, id="kept longer"),
        pytest.param(ROW, pseudonyms_of("another-pepper"), False, id="of another vault"),
    ],
)
def test_row_fits_its_session_its_retention_and_its_vault(
    row: Entity, pseudonyms: Pseudonyms, expected: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that does not fit is logged with the session's id and nothing else, so that somebody is alerted.

    The MAC proves who wrote the row, and not that it is the newest.
    """
    assert fits(row, pseudonyms) == expected

    line = f'{{"event": "record_mac_mismatch", "sessionId": "{row.key}"}}'
    logged = [(one.levelno, one.getMessage()) for one in caplog.records]
    assert logged == ([] if expected else [(logging.ERROR, line)])


async def test_session_cannot_be_read_or_kept_without_the_key(store: FakeStore, stored: Stored) -> None:
    """A row without a MAC is never written; a row is not read while nobody can tell whether it fits."""
    sessions = Sessions(store, 30, pseudonyms_of(""))
    calls = store.count("insert")

    with pytest.raises(KeyUnavailable):
        await sessions.get(SESSION_ID)
    with pytest.raises(KeyUnavailable):
        await sessions.add(NEW)
    assert store.count("insert") == calls


@pytest.mark.parametrize(
    ("changed", "passed", "failed_at"),
    [
        ({}, True, ()),
        ({"decision": "spoofface"}, False, (3_000,)),
        ({"decision": None, "failure_code": "NoDecision"}, False, ()),
        ({"status": "Expired", "decision": None}, False, ()),
    ],
)
def test_row_of_the_release_before_is_read(
    changed: dict[str, Value | None], passed: bool, failed_at: tuple[int, ...]
) -> None:
    """It has no column about digests, abuse or attempts: no digest was required, and its decision is its only one."""
    new = ("digest_required", "digest_matches", "abuse_is_failure", "abuse_detected", "decided")
    old = {name: value for name, value in GOOD.items() if name not in new}
    values = {name: value for name, value in {**old, **changed}.items() if value is not None}
    record = unverified(Entity(SESSION_ID, values, 0, "")).record

    assert (record.passed, record.failed_at, record.digest_matches) == (passed, failed_at, None)
    assert (record.digest_required, record.abuse_is_failure, record.abuse_detected) == (False, True, None)


@pytest.mark.parametrize(
    "attempts",
    [
        [SHORT | {"attemptId": number} for number in range(740)],
        [SHORT | {"attemptId": 2**63 - 1 - number} for number in range(610)],
        [SHORT | {"abuseMonitoringResult": {"isAbuseDetected": True, "otherFlaggedSessions": FLAGS}}],
        [SHORT | {"clientInformation": ADDRESSES}],
        [
            {
                "attemptId": 1,
                "attemptStatus": "Failed",
                "error": {"code": "a" * 128, "message": "\U0001f600" * 15_000},
            }
        ],
    ],
    ids=["attempts", "longest ids", "flagged sessions", "addresses", "failure"],
)
async def test_largest_answer_of_face_can_be_stored(attempts: list[object], store: FakeStore) -> None:
    """Otherwise its check would never have an event."""
    content = {"sessionId": SESSION_ID, "status": "Succeeded", "results": {"attempts": attempts}}
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    assert LARGEST_BODY * 0.9 < len(body) <= LARGEST_BODY
    headers = {"content-type": "application/json", "apim-request-id": "a" * 128}
    result = v1_3_preview_1.VERSION.read_result(HttpAnswer(200, headers, body), SESSION_ID)
    sessions = Sessions(store, 30, PSEUDONYMS)
    record = NEW.with_result(result, LATEST)

    await sessions.add(record)

    assert (await sessions.reload(SESSION_ID)).record == record
