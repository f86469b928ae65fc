"""`ops session`: what is kept of one, and its message once more, over Azurite."""

from dataclasses import fields
from typing import Any

import pytest

from shared.events.cloud_event import event_of
from shared.face.model import Failure, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import SessionRecord, Step
from shared.text import rfc3339
from tests.ops.depot import TOKEN_HASH, TRACEPARENT, Depot

SECRET = {"token_hash"}
INTERNAL = {"reads"}


def test_record_is_shown_with_readable_times_and_history(depot: Depot) -> None:
    """A person sees what happened, and when."""
    at = depot.began_at
    record = depot.add(history=((at - 5_000, Step.CREATED), (at, Step.COMPLETED)))

    ended = depot.ops("session", "show", record.session_id)

    assert (ended.status, ended.errors) == (0, [])
    assert ended.lines[0] == f"sessionId             {record.session_id}"
    assert "passed                yes" in ended.lines
    assert "failure               -" in ended.lines
    assert f"completedDateTime     {rfc3339(at)}" in ended.lines
    assert ended.lines[-3:] == [
        "history",
        f"  {rfc3339(at - 5_000)}  created",
        f"  {rfc3339(at)}  completed",
    ]


def test_record_as_json_is_one_object(depot: Depot) -> None:
    """A script finds the fields by the names that events and answers have."""
    record = depot.add(failure=Failure("FaceWithMaskDetected", "Mask detected."), decision=None)

    [shown] = depot.ops("session", "show", record.session_id, "--json").objects

    assert shown["failure"] == {"code": "FaceWithMaskDetected", "message": "Mask detected."}
    assert shown["passed"] is False
    assert shown["eventId"] == event_of(record)["id"]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_token_hash_is_never_shown(depot: Depot, form: list[str]) -> None:
    """Nothing is shown that could help to read the result as its phone does."""
    record = depot.add()

    ended = depot.ops("session", "show", record.session_id, *form)

    assert TOKEN_HASH not in "".join(ended.lines)
    assert not any("token_hash" in line or "tokenHash" in line for line in ended.lines)


def test_each_field_of_a_record_is_shown_or_left_out_on_purpose(depot: Depot) -> None:
    """A field that is added to the record is not forgotten here."""
    record = depot.add()
    [shown] = depot.ops("session", "show", record.session_id, "--json").objects

    names = {field.name for field in fields(SessionRecord)} - SECRET - INTERNAL

    # `passed`, `eventId` and `keptUntil` are worked out.
    assert len(shown) == len(names) + 3


def test_session_that_has_not_ended_has_neither_verdict_nor_event(depot: Depot) -> None:
    """An open session is shown as such."""
    record = depot.add(status=SessionStatus.STARTED, decision=None, completed_at=None, published_at=None)

    [shown] = depot.ops("session", "show", record.session_id, "--json").objects

    assert (shown["status"], shown["passed"], shown["eventId"]) == ("Started", None, None)


def test_id_may_be_in_capitals(depot: Depot) -> None:
    """Other tools write ids so."""
    record = depot.add()

    assert depot.ops("session", "show", record.session_id.upper()).status == 0


@pytest.mark.parametrize("verb", ["show", "collect"])
def test_unknown_session_fails_in_one_line(depot: Depot, verb: str) -> None:
    """It says what that may mean."""
    ended = depot.ops("session", verb, "00000000-0000-4000-8000-000000000000")

    assert (ended.status, ended.lines, len(ended.errors)) == (1, [], 1)
    assert "there is no record" in ended.errors[0]
    assert depot.results() == []


OPEN = {"status": SessionStatus.STARTED, "decision": None, "completed_at": None, "published_at": None}


@pytest.mark.parametrize(
    "changes", [pytest.param(OPEN, id="open"), pytest.param({"published_at": None}, id="ended")]
)
def test_session_whose_message_was_lost_is_given_another(depot: Depot, changes: dict[str, Any]) -> None:
    """The app collects it as it does what was replayed."""
    record = depot.add(**changes)

    ended = depot.ops("session", "collect", record.session_id)

    message = CollectMessage(record.session_id, Reason.REPLAY, traceparent=TRACEPARENT)
    assert (ended.status, len(ended.lines), ended.errors) == (0, 1, [])
    assert [CollectMessage.from_text(text) for text in depot.results()] == [message]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({}, "its event was published", id="published"),
        pytest.param(OPEN | {"revoked": True}, "it was revoked before its end", id="revoked"),
    ],
)
def test_session_without_an_event_to_come_is_not_collected(
    depot: Depot, changes: dict[str, Any], why: str
) -> None:
    """One line says why there is nothing to do."""
    record = depot.add(**changes)

    ended = depot.ops("session", "collect", record.session_id)

    assert (ended.status, ended.lines, len(ended.errors)) == (1, [], 1)
    assert why in ended.errors[0]
    assert depot.results() == []
