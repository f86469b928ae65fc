"""`ops poison`: list, replay and drop."""

import base64
import uuid

import pytest

from shared.errors import StorageUnavailable
from shared.queues.message import CollectMessage, Reason
from tests.ops.shell import TRACEPARENT, UNKNOWN, Shell, collect_message


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def add_message(shell: Shell, session_id: str | None = None) -> str:
    return shell.poison.add(encoded(collect_message(session_id)))


def test_list_shows_messages_and_takes_none(shell: Shell) -> None:
    """Each line names the session; the last line counts all messages, also those beyond the limit."""
    first, *_ = [add_message(shell, UNKNOWN), *(add_message(shell) for _ in range(39))]

    ended = shell.run("poison", "list")
    objects = shell.run("poison", "list", "--all", "--json").objects

    assert (ended.status, ended.errors) == (0, [])
    assert ended.target == (
        "storage account devstoreaccount1, http://127.0.0.1:10002/devstoreaccount1, release unknown"
    )
    assert ended.lines[0].startswith(f"{first}  20")
    assert ended.lines[0].endswith(f"session {UNKNOWN}  reason sweep  attempt 5")
    assert ended.lines[32:] == ["32 shown, about 40 in liveness-results-poison; --all shows the others"]
    assert (len(objects), len(shell.poison.messages)) == (40, 40)
    assert objects[0].pop("insertedOn").endswith("Z")
    message = {"sessionId": UNKNOWN, "reason": "sweep", "attempt": 5, "traceparent": TRACEPARENT}
    assert objects[0] == {"id": first, "usable": True, **message}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (encoded("not json"), "unusable: "),
        (encoded("{}"), "unusable: the message names no session"),
        ("not base64!", "text: not base64!"),
        (encoded("\x1b[2J[]"), r"text: \x1b[2J[]"),
        (encoded("x" * 1_000), f"text: {'x' * 160}..."),
    ],
    ids=["not-json", "no-session", "not-base64", "terminal-codes", "long"],
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

    assert (ended.status, ended.errors, shell.poison.messages) == (0, [], [])
    assert ended.lines[-1] == "3 given back to liveness-results"
    assert shell.results_messages() == [
        CollectMessage(session_id, Reason.REPLAY, traceparent=TRACEPARENT) for session_id in sessions
    ]


def test_show_writes_the_whole_text(shell: Shell) -> None:
    """The list cuts it off. A message beyond the first 32 is found; an unknown id is an error."""
    for _ in range(32):
        add_message(shell)
    long = shell.poison.add(encoded("x" * 1_000))

    shown = shell.run("poison", "show", long)

    assert shown.status == 0
    assert (shown.lines[0], shown.lines[-1]) == (f"id           {long}", f"text         {'x' * 1_000}")
    assert shell.run("poison", "show", "nothing").errors == [
        "ops: message nothing: not in liveness-results-poison, or taken by another operator just now"
    ]


def test_drop_prints_how_to_undo_it(shell: Shell) -> None:
    """A message that can be used is collected instead; the text of another one is put back as it was."""
    content = encoded("it's {}")
    good, bad = add_message(shell, UNKNOWN), shell.poison.add(content)

    ended = shell.run("poison", "drop", good, bad, "--yes")

    assert ended.errors == [
        f"ops: to undo: python -m ops session collect {UNKNOWN}",
        'ops: to undo: az storage message put --connection-string "$AzureWebJobsStorage" '
        "--queue-name liveness-results-poison --content " + content,
    ]


@pytest.mark.parametrize(("verb", "outcome"), [("replay", "replayed"), ("drop --yes", "dropped")])
def test_only_the_named_message_is_handled(shell: Shell, verb: str, outcome: str) -> None:
    """The others stay. An unknown id is named in printable characters, and the exit status is 1."""
    other, chosen = add_message(shell), add_message(shell)

    good = shell.run("poison", *verb.split(), chosen, "--json")
    bad = shell.run("poison", *verb.split(), "nothing\x1b")

    assert good.status == 0
    assert [(found["outcome"], found["id"]) for found in good.objects] == [(outcome, chosen)]
    assert [message.message_id for message in shell.poison.messages] == [other]
    assert len(shell.results_messages()) == (verb == "replay")
    assert (bad.status, bad.errors[1:]) == (1, ["ops: 1 message left"])
    assert bad.errors[0].startswith("ops: message nothing\\x1b: not in liveness-results-poison")


def test_replay_keeps_unusable_messages(shell: Shell) -> None:
    """The app would only fail at them again: each is named, and the exit status is 1. Drop removes them."""
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
    assert shell.run("poison", "drop", bad, "--yes").lines[-1] == "1 dropped"
    assert shell.poison.messages == []


def test_replay_that_cannot_add_a_message_loses_none(shell: Shell) -> None:
    """The message leaves the poison queue only after the app's queue has it."""
    add_message(shell)
    shell.results.fail("send", StorageUnavailable("the queue does not exist"))

    ended = shell.run("poison", "replay", "--all")

    assert (ended.status, ended.lines) == (1, [])
    assert ended.errors == ["ops: the queue liveness-results: the queue does not exist"]
    assert len(shell.poison.messages) == 1
