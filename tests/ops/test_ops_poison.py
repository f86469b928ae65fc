"""`ops poison`: list, replay and drop, over Azurite."""

import json
import uuid

import pytest

from collect_result.use_case import collect_result
from shared.app import build
from shared.events.publisher import MemoryPublisher
from shared.face.model import LivenessDecision, SessionResult, SessionStatus
from shared.queues.memory import MemoryQueue
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE
from shared.settings import Settings
from shared.storage.port import SearchableStore
from tests.ops.depot import TRACEPARENT, Depot, collect_message
from tests.support.broker import environment
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock

REAL = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, digest="A" * 64)


def test_list_shows_messages_and_takes_none(depot: Depot) -> None:
    """A line for each says which session it is about; the next look shows the same."""
    session_id = str(uuid.uuid4())
    [message_id] = depot.poison(collect_message(session_id))

    first, second = depot.ops("poison", "list"), depot.ops("poison", "list")

    assert first == second
    assert (first.status, first.errors) == (0, [])
    assert first.lines[0].startswith(f"{message_id}  20")
    assert first.lines[0].endswith(f"session {session_id}  reason sweep  attempt 5")
    assert first.lines[1] == "1 shown, about 1 in liveness-results-poison"


def test_list_as_json_has_a_line_for_each_message_alone(depot: Depot) -> None:
    """A script reads one object a line."""
    session_id = str(uuid.uuid4())
    [message_id] = depot.poison(collect_message(session_id))

    [found] = depot.ops("poison", "list", "--json").objects

    assert found.pop("insertedOn").endswith("Z")
    assert found == {
        "id": message_id,
        "usable": True,
        "sessionId": session_id,
        "reason": "sweep",
        "attempt": 5,
        "traceparent": TRACEPARENT,
    }


def test_list_shows_as_many_as_were_asked_for(depot: Depot) -> None:
    """The last line still tells how many there are."""
    depot.poison(*(collect_message() for _ in range(5)))

    ended = depot.ops("poison", "list", "--max", "2")

    assert len(ended.lines) == 3
    assert ended.lines[-1] == "2 shown, about 5 in liveness-results-poison"


@pytest.mark.parametrize(
    ("text", "raw", "why"),
    [
        pytest.param("not json", False, "unusable", id="not-json"),
        pytest.param("{}", False, "unusable: the message names no session", id="no-session"),
        pytest.param("not base64!", True, "it holds: not base64!", id="not-base64"),
        pytest.param("\x1b[2J[]", False, r"it holds: \x1b[2J[]", id="terminal-codes"),
        pytest.param('{"session_id": "../"}', False, "names no session", id="path"),
    ],
)
def test_list_says_why_a_message_is_unusable(depot: Depot, text: str, raw: bool, why: str) -> None:
    """What nobody can do anything with is shown with the reason, and without what would act on a terminal."""
    depot.poison(text, raw=raw)

    ended = depot.ops("poison", "list")

    assert ended.status == 0
    assert why in ended.lines[0]
    assert ended.lines[0].isprintable()


def test_queue_that_is_not_there_is_empty(depot: Depot) -> None:
    """The host makes the poison queue with the first message: before, there is nothing to see."""
    depot.delete_queue(POISON_QUEUE)

    assert depot.ops("poison", "list").lines == ["0 shown, about 0 in liveness-results-poison"]
    assert depot.ops("poison", "replay", "--all").lines == ["0 given back to liveness-results"]


def test_replay_gives_every_message_back_as_a_first_attempt(depot: Depot) -> None:
    """The app finds the same session and trace, for the reason `replay`; the poison queue is empty then."""
    sessions = sorted(str(uuid.uuid4()) for _ in range(40))
    depot.poison(*(collect_message(session_id) for session_id in sessions))

    ended = depot.ops("poison", "replay", "--all")

    assert (ended.status, ended.errors) == (0, [])
    assert ended.lines[-1] == "40 given back to liveness-results"
    assert depot.poisoned() == []
    given_back = [CollectMessage.from_text(text) for text in depot.results()]
    assert len(given_back) == 32  # What one look shows.
    assert {message.session_id for message in given_back} <= set(sessions)
    assert {(m.reason, m.attempt, m.traceparent) for m in given_back} == {(Reason.REPLAY, 0, TRACEPARENT)}


def test_replay_of_an_id_leaves_the_others(depot: Depot) -> None:
    """Only what was named moves; the others show again at once."""
    wanted, other = str(uuid.uuid4()), str(uuid.uuid4())
    _, chosen = depot.poison(collect_message(other), collect_message(wanted))

    ended = depot.ops("poison", "replay", chosen, "--json")

    assert ended.status == 0
    assert [(found["outcome"], found["id"]) for found in ended.objects] == [("replayed", chosen)]
    assert [json.loads(text)["session_id"] for text in depot.results()] == [wanted]
    assert [json.loads(text)["session_id"] for text in depot.poisoned()] == [other]


def test_replay_keeps_what_is_unusable(depot: Depot) -> None:
    """The app would only fail at it again: it stays, is named, and the exit status tells."""
    good, bad = depot.poison(collect_message(), "{}")

    ended = depot.ops("poison", "replay", "--all")

    assert ended.status == 1
    assert [line.split()[:2] for line in ended.lines[:2]] == [["replayed", good], ["kept", bad]]
    assert ended.errors == [
        f"ops: message {bad}: unusable, and kept (ops poison drop ID removes one)",
        "ops: 1 message left",
    ]
    assert depot.poisoned() == ["{}"]


def test_replay_of_an_unknown_id_fails(depot: Depot) -> None:
    """Whoever asked for it learns that it is not there."""
    ended = depot.ops("poison", "replay", "nothing\x1b")

    assert ended.status == 1
    assert "message nothing\\x1b: not in liveness-results-poison" in ended.errors[0]


def test_replay_without_a_queue_to_give_to_loses_nothing(depot: Depot) -> None:
    """A message that could not be added to the other queue is still in this one."""
    depot.poison(collect_message())
    depot.delete_queue(RESULTS_QUEUE)

    ended = depot.ops("poison", "replay", "--all")

    assert (ended.status, ended.lines) == (1, [])
    assert ended.errors == ["ops: the queues: the queue does not exist; the deployment creates it"]
    assert len(depot.poisoned()) == 1


def test_drop_removes_what_was_named(depot: Depot) -> None:
    """An unusable message goes for good; the app is given nothing."""
    bad, _ = depot.poison("{}", collect_message())

    ended = depot.ops("poison", "drop", bad)

    assert (ended.status, ended.errors, ended.lines[-1]) == (0, [], "1 dropped")
    assert len(depot.poisoned()) == 1
    assert depot.results() == []


def test_replayed_message_ends_its_session(depot: Depot) -> None:
    """The collector takes what was given back, and the session has its result and its event."""
    record = depot.add(
        status=SessionStatus.NOT_STARTED, decision=None, digest=None, completed_at=None, published_at=None
    )
    depot.poison(collect_message(record.session_id))
    depot.ops("poison", "replay", "--all")
    [text] = depot.results()
    publisher = MemoryPublisher()

    depot.with_store(lambda store: _collect(store, publisher, text, record.created_at))

    assert [event["subject"] for event in publisher.events] == [record.session_id]
    ended = depot.stored(record.session_id).record
    assert (ended.status, ended.passed(None), ended.published_at) == (
        SessionStatus.RESULT_AVAILABLE,
        True,
        record.created_at,
    )


async def _collect(store: SearchableStore, publisher: MemoryPublisher, text: str, now: int) -> None:
    message, clock, face = CollectMessage.from_text(text), FakeClock(now), FakeFace()
    face.answer(message.session_id, REAL)
    app = build(
        Settings.from_mapping(environment("http://127.0.0.1:9")),
        clock=clock,
        face=face,
        store=store,
        queue=MemoryQueue(clock),
        publisher=publisher,
    )
    await collect_result(app, message)
    await app.aclose()
