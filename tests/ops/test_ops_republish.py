"""`ops events republish`: the same events once more, over Azurite and into a file."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from local.ops.failures import Failure
from local.ops.output import Output
from local.ops.republish import Republication
from shared.errors import EventsUnavailable
from shared.events.cloud_event import event_of
from shared.events.publisher import MemoryPublisher
from shared.face.model import SessionStatus
from shared.sessions.record import Step
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, Table, Value
from shared.text import rfc3339
from tests.ops.depot import RETENTION_DAYS, Depot
from tests.support.time import FakeClock

MINUTE = 60_000


def range_of(depot: Depot, start: int = 0, end: int = MINUTE) -> tuple[str, ...]:
    """The words that select a part of this test's own time."""
    return "--from", rfc3339(depot.began_at + start), "--to", rfc3339(depot.began_at + end)


def test_event_is_published_as_the_app_made_it(depot: Depot) -> None:
    """The line is the event of the record to the letter, whatever region this machine would be in."""
    record = depot.add()
    depot.extra["BROKER_REGION"] = "elsewhere"

    ended = depot.ops("events", "republish", "--session", record.session_id)

    assert (ended.status, ended.errors) == (0, [])
    assert depot.events() == [json.dumps(event_of(record), separators=(",", ":"))]


def test_publishing_twice_gives_identical_lines(depot: Depot) -> None:
    """Whoever has the event can tell that it is the same one."""
    records = [depot.add(completed_at=depot.began_at + number) for number in range(20)]

    for _ in range(2):
        assert depot.ops("events", "republish", *range_of(depot)).status == 0

    lines = depot.events()
    assert len(lines) == 40
    assert sorted(set(lines)) == sorted(
        json.dumps(event_of(record), separators=(",", ":")) for record in records
    )


def test_range_selects_by_the_events_time_with_its_start_and_without_its_end(depot: Depot) -> None:
    """Ranges that meet have each event once."""
    at = {offset: depot.add(completed_at=depot.began_at + offset) for offset in (-1, 0, 29_999, 30_000)}

    ended = depot.ops("events", "republish", *range_of(depot, 0, 30_000), "--json")

    assert {found["sessionId"] for found in ended.objects} == {at[0].session_id, at[29_999].session_id}
    assert [found["time"] for found in sorted(ended.objects, key=lambda found: str(found["time"]))] == [
        rfc3339(depot.began_at),
        rfc3339(depot.began_at + 29_999),
    ]


def test_session_that_has_not_ended_is_in_no_range(depot: Depot) -> None:
    """There is no event of it yet."""
    depot.add(status=SessionStatus.STARTED, decision=None, completed_at=None, published_at=None)

    ended = depot.ops("events", "republish", *range_of(depot, -MINUTE))

    assert (ended.status, ended.lines) == (0, ["0 events published, 0 for the first time"])
    assert depot.events() == []


def test_expired_session_has_its_own_event(depot: Depot) -> None:
    """Sessions that ended without a result are published as such."""
    record = depot.add(status=SessionStatus.EXPIRED, decision=None, digest=None, attempts=0)

    ended = depot.ops("events", "republish", *range_of(depot), "--json")

    assert [found["eventType"] for found in ended.objects] == ["liveness.session.expired"]
    assert [json.loads(line)["subject"] for line in depot.events()] == [record.session_id]


def test_event_that_was_never_published_is_published_and_marked(depot: Depot) -> None:
    """The record says so, and is kept for as long as the app keeps others; the next time is a repetition."""
    record = depot.add(published_at=None)

    first = depot.ops("events", "republish", "--session", record.session_id)
    second = depot.ops("events", "republish", "--session", record.session_id)

    assert first.lines[-1] == "1 event published, 1 for the first time"
    assert second.lines[-1] == "1 event published, 0 for the first time"
    marked = depot.stored(record.session_id).record
    assert marked.published_at
    assert marked.history[-1] == (marked.published_at, Step.PUBLISHED)
    after = depot.entity(record.session_id)
    assert after
    assert after.expires_at == record.created_at + RETENTION_DAYS * 86_400_000


def test_record_that_was_published_is_left_as_it_is(depot: Depot) -> None:
    """Publishing again writes nothing."""
    record = depot.add()
    before = depot.stored(record.session_id)

    depot.ops("events", "republish", *range_of(depot))

    assert depot.stored(record.session_id) == before


def test_dry_run_publishes_and_marks_nothing(depot: Depot) -> None:
    """It shows what would go, and needs nobody to publish to."""
    record = depot.add(published_at=None)
    depot.extra["EVENTS_FILE"] = ""

    ended = depot.ops("events", "republish", *range_of(depot), "--dry-run")

    assert ended.status == 0
    assert ended.lines[0].startswith("dry-run    ")
    assert ended.lines[0].endswith(f"session {record.session_id}  (for the first time)")
    assert ended.lines[1] == "1 event would be published, 1 for the first time"
    assert depot.events() == []
    assert depot.stored(record.session_id).record == record


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"status": SessionStatus.STARTED, "completed_at": None}, "status is Started", id="open"),
        pytest.param(None, "there is no record", id="unknown"),
    ],
)
def test_session_without_an_event_fails(depot: Depot, changes: dict[str, Any] | None, why: str) -> None:
    """Whoever asks for one session is told why there is nothing to publish."""
    session_id = "00000000-0000-4000-8000-000000000000"
    if changes is not None:
        session_id = depot.add(**changes).session_id

    ended = depot.ops("events", "republish", "--session", session_id)

    assert (ended.status, len(ended.errors)) == (1, 1)
    assert why in ended.errors[0]
    assert depot.events() == []


@pytest.mark.parametrize(
    "words", [("events", "republish", "--session"), ("session", "show"), ("session", "collect")]
)
def test_session_whose_record_cannot_be_read_fails_in_one_line(depot: Depot, words: tuple[str, ...]) -> None:
    """A row that somebody broke is told as such by each command that is asked for one session."""
    session_id = str(uuid.uuid4())
    broken = Entity(session_id, {"status": "?"}, 2**50)
    depot.with_store(lambda store: store.insert(Table.SESSIONS, broken))

    ended = depot.ops(*words, session_id)

    assert (ended.status, ended.lines) == (1, [])
    assert ended.errors == ["ops: the sessions: a session record cannot be read"]


def test_file_that_cannot_be_written_fails_and_names_the_session(depot: Depot) -> None:
    """The exit status and a line say what was not published; the record is not marked."""
    record = depot.add(published_at=None)
    depot.extra["EVENTS_FILE"] = str(depot.folder)

    ended = depot.ops("events", "republish", "--session", record.session_id, "--json")

    assert ended.status == 1
    assert ended.errors[0].startswith(f"ops: session {record.session_id}: ")
    assert ended.errors[-1] == "ops: 1 event failed; see above, and try again"
    assert [(found["outcome"], found["sessionId"]) for found in ended.objects] == [
        ("failed", record.session_id)
    ]
    assert depot.stored(record.session_id).record.published_at is None


class RefusingPublisher(MemoryPublisher):
    """Takes no events of some sessions; `tries` counts all."""

    def __init__(self, refused: set[str] | None) -> None:
        super().__init__()
        self._refused = refused
        self.tries = 0

    async def publish(self, event: Mapping[str, Any]) -> None:
        self.tries += 1
        if self._refused is None or event["subject"] in self._refused:
            raise EventsUnavailable("not now")
        await super().publish(event)


@pytest.fixture
async def kept() -> MemoryStore:
    """A store in memory with fifty sessions that ended in the first fifty milliseconds."""
    store = MemoryStore()
    for number in range(50):
        values: dict[str, Value] = {
            "token_hash": "x",
            "device": "x",
            "created_at": 0,
            "token_expires_at": 1,
            "face_api_version": "v1.2",
            "region": "westeurope",
            "status": "Expired",
            "attempts": 0,
            "completed_at": number,
            "revoked": False,
            "published_at": 1,
            "deleted_upstream": False,
            "history": "[]",
        }
        session_id = f"{number:08x}-0000-4000-8000-000000000000"
        await store.insert(Table.SESSIONS, Entity(session_id, values, 86_400_000))
    return store


async def test_one_event_that_fails_does_not_keep_the_others(
    kept: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are tried, and the one is named."""
    refused = "00000003-0000-4000-8000-000000000000"
    publisher = RefusingPublisher({refused})
    republication = Republication(kept, publisher, FakeClock(), Output(as_json=False))

    with pytest.raises(Failure, match=r"^1 event failed; see above"):
        await republication.of_range(0, 50)

    assert len(publisher.events) == 49
    assert capsys.readouterr().err == f"ops: session {refused}: not now\n"


async def test_nothing_gets_through_ends_the_run(
    kept: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where sixteen fail one after the other, the rest is not tried: each takes ten seconds to fail."""
    publisher = RefusingPublisher(None)
    republication = Republication(kept, publisher, FakeClock(), Output(as_json=False))

    with pytest.raises(Failure, match="nothing gets through"):
        await republication.of_range(0, 50)

    assert publisher.tries == 16
    assert len(capsys.readouterr().err.splitlines()) == 16


async def test_record_that_cannot_be_read_is_named(
    kept: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that is no record does not keep the others."""
    await kept.insert(Table.SESSIONS, Entity("broken", {"completed_at": 7}, 86_400_000))
    publisher = MemoryPublisher()
    republication = Republication(kept, publisher, FakeClock(), Output(as_json=False))

    with pytest.raises(Failure, match=r"^1 event failed"):
        await republication.of_range(0, 50)

    assert len(publisher.events) == 50
    assert capsys.readouterr().err == "ops: session broken: a session record cannot be read\n"
