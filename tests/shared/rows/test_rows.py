"""Rows and messages of every earlier release are read, and nothing of a later one is lost."""

import json
from dataclasses import replace
from typing import Any

import pytest

from get_result.use_case import ResultQuery, get_result
from shared.events.cloud_event import COMPLETED, EXPIRED, event_of
from shared.face.model import SessionStatus
from shared.idempotency import Idempotency
from shared.queues.message import CollectMessage
from shared.sessions.store import Sessions, from_entity
from shared.storage.port import Entity, MemoryStore, Table, Value
from shared.throttle.rows import Row
from tests.collect_result.workshop import PHONE, REAL, TOKEN, Workshop
from tests.shared.rows.write import FOLDER, KEY, VERSION, columns_of, rows_of_this_release
from tests.shared.sessions.test_store import with_mac
from tests.support.app import PSEUDONYMS

VERSIONS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and path.name[0].isdigit())


def stored(table: str) -> list[Any]:
    """The rows of a table, of each release."""
    return [
        pytest.param(row, id=f"{version} {row.get('state', row.get('key', number))}")
        for version in VERSIONS
        for number, row in enumerate(json.loads((FOLDER / version / f"{table}.json").read_text("utf-8")))
    ]


def entity_of(row: dict[str, Any]) -> Entity:
    return Entity(row["key"], row["values"], row["expires_at"])


@pytest.mark.parametrize("row", stored("sessions"))
async def test_session_says_what_it_said_to_its_release(row: dict[str, Any]) -> None:
    """Its MAC fits, its event is the same to the letter, and a change of it loses no column."""
    store = MemoryStore()
    entity = await store.insert(Table.SESSIONS, entity_of(row))
    sessions = Sessions(store, 30, PSEUDONYMS)

    found = await from_entity(entity, PSEUDONYMS)
    record = found.record
    await sessions.replace(found, replace(record, reads=(*record.reads, 2**42)))

    assert (record.passed, record.owes_event) == (row["passed"], row["owesEvent"])
    assert (event_of(record) if record.final else None) == row["event"]
    written = await store.get(Table.SESSIONS, row["key"])
    assert written
    own = {name: value for name, value in row["values"].items() if name not in ("reads", "mac")}
    assert own.items() <= written.values.items()


@pytest.mark.parametrize("row", stored("throttle"))
def test_row_of_limits_is_read_and_written_again(row: dict[str, Any]) -> None:
    assert Row.of(entity_of(row)).entity() == entity_of(row)


@pytest.mark.parametrize("row", stored("idempotency"))
async def test_answer_is_given_again(row: dict[str, Any]) -> None:
    store = MemoryStore()
    await store.insert(Table.IDEMPOTENCY, entity_of(row))

    answer = await Idempotency(store, PSEUDONYMS, lambda: row["expires_at"] - 1).find(KEY)

    assert answer
    assert answer.content == {"session_id": "a-session"}


@pytest.mark.parametrize("row", stored("messages"))
def test_message_is_read(row: dict[str, Any]) -> None:
    assert (
        json.loads(CollectMessage.from_text(row["text"]).to_text()).items() >= json.loads(row["text"]).items()
    )


async def test_rows_of_this_release_are_stored() -> None:
    """Its columns are those of its stored rows. If not: `python -m tests.shared.rows.write`, before it is released."""
    names = ("sessions", "throttle", "idempotency", "messages")
    kept = {name: json.loads((FOLDER / VERSION / f"{name}.json").read_text("utf-8")) for name in names}

    assert columns_of(kept) == columns_of(await rows_of_this_release())
    assert len(kept["sessions"]) == 11


async def row_of(workshop: Workshop, session_id: str) -> Entity:
    entity = await workshop.store.get(Table.SESSIONS, session_id)
    assert entity
    return entity


async def rewritten(workshop: Workshop, session_id: str, **values: Value) -> None:
    """Let a later release write columns of a session."""
    entity = await row_of(workshop, session_id)
    changed = replace(entity, values={**entity.values, **values})
    await workshop.store.replace(Table.SESSIONS, with_mac(changed))


async def test_status_of_a_later_release_is_kept_until_the_deadline_and_never_a_pass() -> None:
    """After a rollback phones wait, the collector looks again, and the session has its event, whatever Face says."""
    workshop = Workshop()
    session_id = await workshop.created(REAL)
    later = {"status": "UnderReview", "decision": "realface", "failure_code": "ByHand", "reviewer": "r"}
    await rewritten(workshop, session_id, **later)

    state = await get_result(workshop.app, ResultQuery(session_id, TOKEN, PHONE, "a-request"))
    await workshop.collect(session_id)
    assert (state.record.status, state.record.passed) == (SessionStatus.STARTED, False)
    assert workshop.published == []
    assert later.items() <= (await row_of(workshop, session_id)).values.items()
    await workshop.run_queue()

    [event] = workshop.publisher.events
    assert (event["type"], event["data"]["passed"]) == (EXPIRED, False)
    assert (await row_of(workshop, session_id)).values["reviewer"] == "r"


async def test_session_that_a_later_release_ended_has_no_second_event() -> None:
    """Its own event says how it ended. For phones it is over, and it is deleted at Face."""
    workshop = Workshop()
    session_id = await workshop.created(REAL)
    later: dict[str, Value] = {"status": "Withdrawn", "published_at": workshop.clock()}
    await rewritten(workshop, session_id, **later)

    state = await get_result(workshop.app, ResultQuery(session_id, TOKEN, PHONE, "a-request"))
    await workshop.collect(session_id)

    assert (state.record.status, state.record.passed) == (SessionStatus.EXPIRED, False)
    assert (workshop.published, workshop.waiting, workshop.face.deleted) == ([], [], [session_id])
    assert later.items() <= (await row_of(workshop, session_id)).values.items()


async def test_decision_of_a_later_release_is_told_as_unknown() -> None:
    """The event keeps to its schema, and the row keeps the decision."""
    workshop = Workshop()
    session_id = await workshop.created(REAL)
    later: dict[str, Value] = {
        "status": "ResultAvailable",
        "decision": "verysureface",
        "completed_at": workshop.clock(),
    }
    await rewritten(workshop, session_id, **later)

    await workshop.collect(session_id)

    [event] = workshop.publisher.events
    data = event["data"]
    assert (event["type"], data["passed"], data["livenessDecision"]) == (COMPLETED, False, None)
    assert data["failure"]["code"] == "UnknownDecision"
    found = (await row_of(workshop, session_id)).values
    assert later.items() <= found.items()
    assert "failure_code" not in found
