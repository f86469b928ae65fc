"""`ops poison`: list, replay and drop."""

import asyncio
import base64
import uuid

import pytest

from collect_result.use_case import collect_result
from shared.app import build
from shared.errors import StorageUnavailable
from shared.face.model import LivenessDecision, SessionResult, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.settings import Settings
from tests.ops.shell import OPEN, TRACEPARENT, Shell, collect_message
from tests.support.broker import environment
from tests.support.fake_face import FakeFace
from tests.support.publisher import FakePublisher
from tests.support.time import FakeClock

REAL = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, digest="A" * 64)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def add_message(shell: Shell, session_id: str | None = None) -> str:
    return shell.poison.add(encoded(collect_message(session_id)))


def test_list_shows_messages_and_takes_none(shell: Shell) -> None:
    """Each line names the session; the last line counts all messages, also those beyond the limit."""
    session_id = str(uuid.uuid4())
    first, *_ = [add_message(shell, session_id) for _ in range(5)]

    ended = shell.run("poison", "list", "--max", "2")

    assert (ended.status, ended.errors) == (0, [])
    assert ended.target == ("storage account devstoreaccount1, http://127.0.0.1:10002/devstoreaccount1")
    assert ended.lines[0].startswith(f"{first}  20")
    assert ended.lines[0].endswith(f"session {session_id}  reason sweep  attempt 5")
    assert ended.lines[2:] == ["2 shown, about 5 in liveness-results-poison"]
    assert len(shell.poison.messages) == 5


def test_list_as_json_has_only_a_line_for_each_message(shell: Shell) -> None:
    """A script reads one object a line."""
    session_id = str(uuid.uuid4())
    message_id = add_message(shell, session_id)

    [found] = shell.run("poison", "list", "--json").objects

    assert found.pop("insertedOn").endswith("Z")
    assert found == {
        "id": message_id,
        "usable": True,
        "sessionId": session_id,
        "reason": "sweep",
        "attempt": 5,
        "traceparent": TRACEPARENT,
    }


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        pytest.param(encoded("not json"), "unusable: ", id="not-json"),
        pytest.param(encoded("{}"), "unusable: the message names no session", id="no-session"),
        pytest.param("not base64!", "text: not base64!", id="not-base64"),
        pytest.param(encoded("\x1b[2J[]"), r"text: \x1b[2J[]", id="terminal-codes"),
        pytest.param(encoded('{"session_id": "../"}'), "names no session", id="path"),
        pytest.param(encoded("x" * 1_000), f"text: {'x' * 160}...", id="long"),
    ],
)
def test_list_says_why_a_message_is_unusable(shell: Shell, raw: str, why: str) -> None:
    """The text is shown as well, without anything that acts on a terminal."""
    shell.poison.add(raw)

    [line, _] = shell.run("poison", "list").lines
    [found] = shell.run("poison", "list", "--json").objects

    assert why in line
    assert line.isprintable()
    assert (found["usable"], found["text"].isprintable()) == (False, True)


def test_replay_gives_every_message_back_as_a_first_attempt(shell: Shell) -> None:
    """The app gets the same sessions and traces for the reason `replay`, and the poison queue is empty then."""
    sessions = [str(uuid.uuid4()) for _ in range(3)]
    for session_id in sessions:
        add_message(shell, session_id)

    ended = shell.run("poison", "replay", "--all")

    assert (ended.status, ended.errors) == (0, [])
    assert ended.lines[-1] == "3 given back to liveness-results"
    assert shell.poison.messages == []
    assert [CollectMessage.from_text(text) for text in shell.results_texts()] == [
        CollectMessage(session_id, Reason.REPLAY, traceparent=TRACEPARENT) for session_id in sessions
    ]


@pytest.mark.parametrize(("verb", "outcome"), [("replay", "replayed"), ("drop", "dropped")])
def test_only_the_named_message_is_handled(shell: Shell, verb: str, outcome: str) -> None:
    """The others stay."""
    other, chosen = add_message(shell), add_message(shell)

    ended = shell.run("poison", verb, chosen, "--json")

    assert (ended.status, ended.errors) == (0, [])
    assert [(found["outcome"], found["id"]) for found in ended.objects] == [(outcome, chosen)]
    assert [message.message_id for message in shell.poison.messages] == [other]
    assert len(shell.results_texts()) == (verb == "replay")


def test_replay_keeps_unusable_messages(shell: Shell) -> None:
    """The app would only fail at them again: each is named, and the exit status is 1."""
    good, bad = add_message(shell), shell.poison.add(encoded("{}"))

    ended = shell.run("poison", "replay", "--all")

    assert ended.status == 1
    assert [line.split()[:2] for line in ended.lines[:2]] == [["replayed", good], ["kept", bad]]
    assert ended.lines[2] == "1 given back to liveness-results"
    assert ended.errors == [
        f"ops: message {bad}: cannot be used, and was kept (ops poison drop ID removes it)",
        "ops: 1 message left",
    ]
    assert [message.message_id for message in shell.poison.messages] == [bad]


@pytest.mark.parametrize("verb", ["replay", "drop"])
def test_unknown_message_fails(shell: Shell, verb: str) -> None:
    """The id is named in printable characters."""
    ended = shell.run("poison", verb, "nothing\x1b")

    assert ended.status == 1
    assert ended.errors[0].startswith("ops: message nothing\\x1b: not in liveness-results-poison")
    assert ended.errors[1:] == ["ops: 1 message left"]


def test_replay_that_cannot_add_a_message_loses_none(shell: Shell) -> None:
    """The message leaves the poison queue only after the app's queue has it."""
    add_message(shell)
    shell.results.fail("send", StorageUnavailable("the queue does not exist"))

    ended = shell.run("poison", "replay", "--all")

    assert (ended.status, ended.lines) == (1, [])
    assert ended.errors == ["ops: the queue liveness-results: the queue does not exist"]
    assert len(shell.poison.messages) == 1


def test_replayed_message_ends_its_session(shell: Shell) -> None:
    """The collector accepts the replayed message: the session gets its result and its event."""
    record, publisher = shell.add(**OPEN), FakePublisher()
    add_message(shell, record.session_id)
    shell.run("poison", "replay", "--all")

    asyncio.run(collect(shell, publisher))

    assert [event["subject"] for event in publisher.events] == [record.session_id]
    assert shell.run("session", "show", record.session_id, "--json").objects[0]["passed"] is True


async def collect(shell: Shell, publisher: FakePublisher) -> None:
    """Let the app collect the message in its queue; Face has the result."""
    [text] = shell.results_texts()
    message, face = CollectMessage.from_text(text), FakeFace()
    face.answer(message.session_id, REAL)
    settings = Settings.from_mapping(environment("http://127.0.0.1:9"))
    app = build(
        settings, clock=FakeClock(), face=face, store=shell.store, queue=shell.results, publisher=publisher
    )
    await collect_result(app, message)
    await app.aclose()
