"""`ops session`: show a record, and collect a session whose message was lost."""

from dataclasses import fields
from typing import Any

import pytest

from shared.errors import StorageUnavailable
from shared.events.cloud_event import event_of
from shared.face.model import Failure
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import SessionRecord, Step
from shared.text import rfc3339
from tests.ops.shell import ENDED_AT, OPEN, TOKEN_HASH, TRACEPARENT, UNKNOWN, Shell

NOT_SHOWN = {"token_hash", "reads"}
COMPUTED = {"passed", "eventId", "keptUntil"}


def test_record_is_shown_with_readable_times_and_history(shell: Shell) -> None:
    """The id may be in capitals, as other tools write it."""
    record = shell.add(history=((ENDED_AT - 5_000, Step.CREATED), (ENDED_AT, Step.COMPLETED)))

    ended = shell.run("session", "show", record.session_id.upper())

    assert (ended.status, ended.errors) == (0, [])
    assert ended.lines[0] == f"sessionId             {record.session_id}"
    assert "passed                yes" in ended.lines
    assert "failure               -" in ended.lines
    assert f"completedDateTime     {rfc3339(ENDED_AT)}" in ended.lines
    assert ended.lines[-3:] == [
        "history",
        f"  {rfc3339(ENDED_AT - 5_000)}  created",
        f"  {rfc3339(ENDED_AT)}  completed",
    ]
    assert TOKEN_HASH not in "".join(ended.lines)


def test_record_as_json_is_one_object(shell: Shell) -> None:
    """Fields have the names of events and answers. Each field of a record is there, or left out on purpose."""
    record = shell.add(failure=Failure("FaceWithMaskDetected", "Mask detected."), decision=None)

    [shown] = shell.run("session", "show", record.session_id, "--json").objects

    assert shown["failure"] == {"code": "FaceWithMaskDetected", "message": "Mask detected."}
    assert (shown["passed"], shown["eventId"]) == (False, event_of(record)["id"])
    assert len(shown.keys() - COMPUTED) == len({field.name for field in fields(SessionRecord)} - NOT_SHOWN)
    assert TOKEN_HASH not in str(shown)


def test_open_session_has_neither_verdict_nor_event(shell: Shell) -> None:
    """Both come with its end."""
    record = shell.add(**OPEN)

    [shown] = shell.run("session", "show", record.session_id, "--json").objects

    assert (shown["status"], shown["passed"], shown["eventId"]) == ("Started", None, None)


@pytest.mark.parametrize("changes", [OPEN, {"published_at": None}], ids=["open", "ended"])
def test_session_whose_message_was_lost_is_given_another(shell: Shell, changes: dict[str, Any]) -> None:
    """The app collects it as it does a replayed message."""
    record = shell.add(**changes)

    ended = shell.run("session", "collect", record.session_id)

    message = CollectMessage(record.session_id, Reason.REPLAY, traceparent=TRACEPARENT)
    assert (ended.status, len(ended.lines), ended.errors) == (0, 1, [])
    assert [CollectMessage.from_text(text) for text in shell.results_texts()] == [message]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({}, "its event was published", id="published"),
        pytest.param({**OPEN, "revoked": True}, "it was revoked before it ended", id="revoked"),
    ],
)
def test_session_that_owes_no_event_is_not_collected(shell: Shell, changes: dict[str, Any], why: str) -> None:
    """One line says why."""
    record = shell.add(**changes)

    ended = shell.run("session", "collect", record.session_id)

    assert (ended.status, ended.lines, len(ended.errors)) == (1, [], 1)
    assert why in ended.errors[0]
    assert shell.results_texts() == []


def test_queue_that_fails_is_named(shell: Shell) -> None:
    """The session is as it was."""
    record = shell.add(**OPEN)
    shell.results.fail("send", StorageUnavailable("the queue failed"))

    ended = shell.run("session", "collect", record.session_id)

    assert (ended.status, ended.errors) == (1, ["ops: the queue liveness-results: the queue failed"])


@pytest.mark.parametrize("verb", ["show", "collect"])
def test_unknown_session_fails(shell: Shell, verb: str) -> None:
    """One line says what that may mean."""
    ended = shell.run("session", verb, UNKNOWN)

    assert (ended.status, ended.lines, len(ended.errors)) == (1, [], 1)
    assert "no record found: not created here, undone, or past its retention" in ended.errors[0]
    assert shell.results_texts() == []
