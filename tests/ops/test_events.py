"""`ops events republish`: the same events again, to a file and to Event Grid."""

import asyncio
import json
from typing import Any

import pytest

from ops.events import Republication
from ops.output import CommandFailed, Output
from shared.errors import EventsUnavailable
from shared.events.cloud_event import event_of
from shared.sessions.record import Step
from shared.storage.port import Entity, Table
from shared.text import rfc3339
from tests.ops.shell import ENDED_AT, OPEN, RETENTION_DAYS, UNKNOWN, Shell
from tests.support.publisher import FakePublisher
from tests.support.time import FakeClock


def between(start: int = 0, end: int = 60_000) -> tuple[str, ...]:
    """The options that select a range, in milliseconds after `ENDED_AT`."""
    return "--from", rfc3339(ENDED_AT + start), "--to", rfc3339(ENDED_AT + end)


def test_event_is_published_as_the_app_made_it_each_time(shell: Shell) -> None:
    """The line is the record's event to the letter, whatever region this machine has, and the record stays as it is."""
    records = [shell.add(completed_at=ENDED_AT + number) for number in range(20)]
    shell.environment["BROKER_REGION"] = "elsewhere"

    for _ in range(2):
        ended = shell.run("events", "republish", *between())
        assert (ended.status, ended.errors) == (0, [])

    expected = [json.dumps(event_of(record), separators=(",", ":")) for record in records]
    assert sorted(shell.events()) == sorted(expected * 2)
    assert ended.lines[-1] == "20 events published, 0 for the first time"
    assert ended.target.endswith(f"; events go to {shell.environment['EVENTS_FILE']}")
    assert shell.store.count("replace") == 0


def test_range_includes_its_start_and_excludes_its_end(shell: Shell) -> None:
    """Adjacent ranges select each event once. A session that has not ended is in no range."""
    at = {offset: shell.add(completed_at=ENDED_AT + offset) for offset in (-1, 0, 29_999, 30_000)}
    shell.add(**OPEN)

    ended = shell.run("events", "republish", *between(0, 30_000), "--json")

    assert {(found["sessionId"], found["time"]) for found in ended.objects} == {
        (at[offset].session_id, rfc3339(ENDED_AT + offset)) for offset in (0, 29_999)
    }


def test_event_published_for_the_first_time_is_marked(shell: Shell) -> None:
    """The record keeps the app's retention, and the next time is a repetition."""
    record = shell.add(published_at=None)

    first = shell.run("events", "republish", "--session", record.session_id)
    second = shell.run("events", "republish", "--session", record.session_id)

    assert first.lines[-1] == "1 event published, 1 for the first time"
    assert second.lines[-1] == "1 event published, 0 for the first time"
    marked, row = shell.record(record.session_id), shell.row(record.session_id)
    assert marked.published_at
    assert marked.history[-1] == (marked.published_at, Step.PUBLISHED)
    assert row
    assert row.expires_at == record.created_at + RETENTION_DAYS * 86_400_000


def test_dry_run_publishes_and_marks_nothing(shell: Shell) -> None:
    """It shows what would be published, and needs nowhere to publish to."""
    record = shell.add(published_at=None)
    shell.environment["EVENTS_FILE"] = ""

    ended = shell.run("events", "republish", *between(), "--dry-run")

    assert ended.status == 0
    assert ended.lines[0].startswith("dry-run    ")
    assert ended.lines[0].endswith(f"session {record.session_id}  (for the first time)")
    assert ended.lines[1] == "1 event would be published, 1 for the first time"
    assert "events go to" not in ended.target
    assert shell.record(record.session_id) == record


@pytest.mark.parametrize(
    ("changes", "why"), [(OPEN, "no event yet, its status is Started"), (None, "no record found")]
)
def test_session_without_an_event_fails(shell: Shell, changes: dict[str, Any] | None, why: str) -> None:
    """One line says why there is nothing to publish."""
    session_id = UNKNOWN if changes is None else shell.add(**changes).session_id

    ended = shell.run("events", "republish", "--session", session_id)

    assert (ended.status, ended.errors) == (1, [f"ops: session {session_id}: {why}"])
    assert shell.events() == []


def test_file_that_cannot_be_written_fails_and_names_the_session(shell: Shell) -> None:
    """The record is not marked; a script gets a line as well."""
    record = shell.add(published_at=None)
    shell.environment["EVENTS_FILE"] = str(shell.folder)

    ended = shell.run("events", "republish", "--session", record.session_id, "--json")

    assert ended.status == 1
    assert ended.errors[0].startswith(f"ops: session {record.session_id}: the file for events")
    assert ended.errors[-1] == "ops: 1 event failed; see above, and try again"
    assert [(found["outcome"], found["sessionId"]) for found in ended.objects] == [
        ("failed", record.session_id)
    ]
    assert shell.record(record.session_id).published_at is None


@pytest.mark.parametrize(
    "words", [("events", "republish", "--session"), ("session", "show"), ("session", "collect")]
)
def test_record_that_cannot_be_read_fails_in_one_line(shell: Shell, words: tuple[str, ...]) -> None:
    """Each command for one session says so."""
    asyncio.run(shell.store.insert(Table.SESSIONS, Entity(UNKNOWN, {"status": "?"}, 2**50)))

    ended = shell.run(*words, UNKNOWN)

    assert (ended.status, ended.lines) == (1, [])
    assert ended.errors == ["ops: the sessions: a session record cannot be read"]


@pytest.mark.parametrize("broken", ["publisher", "record"])
def test_one_failure_does_not_stop_the_others(
    shell: Shell, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are tried, and the failed session is named."""
    for _ in range(20):
        shell.add()
    publisher, why = FakePublisher(), "not now"
    if broken == "publisher":
        publisher.fail("publish", EventsUnavailable(why))
    else:
        why = "a session record cannot be read"
        row = Entity(UNKNOWN, {"completed_at": ENDED_AT}, 2**50)
        asyncio.run(shell.store.insert(Table.SESSIONS, row))
    republication = Republication(shell.store, publisher, FakeClock(), Output())

    with pytest.raises(CommandFailed, match=r"^1 event failed; see above, and try again$"):
        asyncio.run(republication.of_range(ENDED_AT, ENDED_AT + 1))

    assert len(publisher.events) == 20 - (broken == "publisher")
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(f": {why}")


def test_a_batch_that_fails_as_a_whole_stops_the_run(shell: Shell) -> None:
    """The rest is not tried: each may take ten seconds to fail."""
    for _ in range(40):
        shell.add()

    publisher = FakePublisher()
    publisher.fail("publish", *(EventsUnavailable("not now") for _ in range(16)))

    with pytest.raises(CommandFailed, match="16 events failed; stopped, because a whole batch failed"):
        asyncio.run(
            Republication(shell.store, publisher, FakeClock(), Output()).of_range(ENDED_AT, ENDED_AT + 1)
        )

    assert publisher.count("publish") == 16
