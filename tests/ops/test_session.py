"""`ops session`: show a record, and collect a session whose message was lost."""

import asyncio
from dataclasses import fields
from typing import Any

import pytest

from shared.errors import StorageUnavailable
from shared.events.cloud_event import event_of
from shared.face.model import Failure, LivenessDecision
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import EXPIRY_GRACE_MS, SessionRecord, Step
from shared.text import LATEST, rfc3339
from tests.ops.shell import ENDED_AT, FORGED, OPEN, TOKEN_HASH, TRACEPARENT, UNKNOWN, Shell
from tests.support.app import pseudonyms_of
from tests.support.broker import PEPPER

NOT_SHOWN = {"token_hash", "reads", "unread", "sent_digest", "answer_row"}
COMPUTED = {"passed", "owesEvent", "eventId", "keptUntil", "verified"}


def test_record_is_shown_with_readable_times_and_history(shell: Shell) -> None:
    """The id may be in capitals, as other tools write it."""
    record = shell.add(history=((ENDED_AT - 5_000, Step.CREATED), (ENDED_AT, Step.COMPLETED)))

    ended = shell.run("session", "show", record.session_id.upper())

    assert (ended.status, ended.errors) == (0, [])
    assert f'and Event.sessionId == "{record.session_id}"' in ended.lines[-2], "who looked"
    assert ended.lines[0] == f"sessionId             {record.session_id}"
    assert {"verified              yes", "passed                yes"} <= set(ended.lines)
    assert "failure               -" in ended.lines
    assert f"completedDateTime     {rfc3339(ENDED_AT)}" in ended.lines
    times = (rfc3339(ENDED_AT - 5_000), rfc3339(ENDED_AT))
    assert ended.lines[-7:-4] == ["history", f"  {times[0]}  created", f"  {times[1]}  completed"]


@pytest.mark.parametrize(
    ("changes", "due", "told"),
    [
        ({}, None, None),
        ({**OPEN, "token_expires_at": LATEST - EXPIRY_GRACE_MS}, LATEST, None),
        (OPEN, ENDED_AT + 715_000, "overdue"),
        ({**OPEN, "next_look_at": LATEST, "last_error": "X: y", "failed_looks": 2}, LATEST, None),
        ({**OPEN, "last_error": "X: y", "failed_looks": 12}, None, "the collector gave up"),
    ],
    ids=["done", "waiting", "lost", "failing", "given-up"],
)
def test_next_look_and_last_error_are_shown(
    shell: Shell, changes: dict[str, Any], due: int | None, told: str | None
) -> None:
    """Before the first look, the next one is after the end of the token. What cannot end by itself is told.

    An open session has neither verdict nor event.
    """
    record = shell.add(**changes)

    ended = shell.run("session", "show", record.session_id, "--json")

    [found] = ended.objects
    assert found["nextLookDateTime"] == (due and rfc3339(due))
    assert (found["failedLooks"], found["lastError"]) == (record.failed_looks, record.last_error)
    assert found["status"] == record.status.value
    assert (found["passed"], bool(found["eventId"])) == ((None, False) if changes else (True, True))
    assert ended.status == 0
    assert [told in line for line in ended.errors] == [True] if told else not ended.errors


def test_what_only_another_release_knows_is_shown_and_never_published(shell: Shell) -> None:
    """Status, decision and columns as they are in the row."""
    record = shell.add(
        unread={"status": "UnderReview", "decision": "surelyface"}, further={"reviewer": "r", "stage": 2}
    )

    [shown] = shell.run("session", "show", record.session_id, "--json").objects
    published = shell.run("events", "republish", "--session", record.session_id)

    assert (shown["status"], shown["livenessDecision"]) == ("UnderReview", "surelyface")
    assert (shown["further"], shown["passed"]) == ("reviewer=r stage=2", False)
    assert (published.status, shell.events()) == (1, [])
    assert published.errors == [
        f"ops: session {record.session_id}: its outcome was written by another release: use that one"
    ]


def test_record_as_json_is_one_object(shell: Shell) -> None:
    """Fields have the names of events and answers. Each field of a record is there, or left out on purpose."""
    record = shell.add(failure=Failure("FaceWithMaskDetected", "Mask detected."), decision=None)

    [shown] = shell.run("session", "show", record.session_id, "--json").objects

    assert shown["failure"] == {"code": "FaceWithMaskDetected", "message": "Mask detected."}
    assert (shown["passed"], shown["eventId"]) == (False, event_of(record)["id"])
    assert len(shown.keys() - COMPUTED) == len({field.name for field in fields(SessionRecord)} - NOT_SHOWN)
    assert TOKEN_HASH not in str(shown)


@pytest.mark.parametrize("changes", [OPEN, {"published_at": None}], ids=["open", "ended"])
def test_session_whose_message_was_lost_is_given_another(shell: Shell, changes: dict[str, Any]) -> None:
    """The app collects it as it does a replayed message."""
    record = shell.add(**changes)

    ended = shell.run("session", "collect", record.session_id)

    assert (ended.status, len(ended.lines), ended.errors) == (0, 1, [])
    assert shell.results_messages() == [
        CollectMessage(record.session_id, Reason.REPLAY, traceparent=TRACEPARENT)
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "session {}: its event was published; see ops events republish"),
        ({**OPEN, "revoked": True}, "session {}: it was revoked before it ended, and has no event"),
        (OPEN, "the queue liveness-results: the queue failed"),
    ],
    ids=["published", "revoked", "queue-fails"],
)
def test_session_that_cannot_be_collected_fails(shell: Shell, changes: dict[str, Any], why: str) -> None:
    """One line says why: it owes no event, or the queue fails."""
    record = shell.add(**changes)
    shell.results.fail("send", StorageUnavailable("the queue failed"))

    ended = shell.run("session", "collect", record.session_id)

    assert (ended.status, ended.lines) == (1, [])
    assert ended.errors == [f"ops: {why.format(record.session_id)}"]
    assert shell.results_messages() == []


@pytest.mark.parametrize("words", ["session show", "session collect", "events republish --session"])
@pytest.mark.parametrize("exists", [False, True], ids=["unknown", "forged"])
def test_session_without_a_record_of_the_brokers_own_fails(shell: Shell, words: str, exists: bool) -> None:
    """One line says what that may mean. A record that was edited is neither shown as a pass nor published as one."""
    error = f"session {UNKNOWN}: no record found: not created here, undone, or past its retention"
    if exists:
        shell.add(session_id=UNKNOWN, decision=LivenessDecision.SPOOFFACE)
        shell.edit(UNKNOWN, decision="realface")
        error = f"session {UNKNOWN}: {FORGED}"

    ended = shell.run(*words.split(), UNKNOWN)

    assert (ended.status, ended.lines, ended.errors) == (1, [], [f"ops: {error}"])
    assert (shell.results_messages(), shell.events()) == ([], [])


def test_record_is_shown_unverified_without_the_key(shell: Shell) -> None:
    """Support staff need not be able to read the secret. A record that cannot be read is an error."""
    record, unreadable = shell.add(), shell.add()
    shell.edit(record.session_id, decision="spoofface")
    shell.edit(unreadable.session_id, status="?")
    shell.environment["ID_PEPPER"] = ""

    [shown] = shell.run("session", "show", record.session_id, "--json").objects
    failed = shell.run("session", "show", unreadable.session_id)

    assert (shown["verified"], shown["livenessDecision"]) == (False, "spoofface")
    [error] = failed.errors
    assert failed.status == 1
    assert error.startswith(f"ops: session {unreadable.session_id}: a session record cannot be read; see ")


def found(shell: Shell, *words: str) -> list[str]:
    """Return the ids that a search shows, in order."""
    ended = shell.run("session", "find", *words, "--json")
    assert (ended.status, ended.errors) == (0, [])
    return [one["sessionId"] for one in ended.objects]


def test_sessions_are_found_by_what_events_name(shell: Shell) -> None:
    """All that is given has to fit. The oldest comes first."""
    late = shell.add(created_at=ENDED_AT + 1).session_id
    early = shell.add(created_at=ENDED_AT).session_id
    of_another = {"client_reference": "order:2", "principal": "b", "device": "d" * 64}
    other = shell.add(created_at=ENDED_AT + 2, **of_another).session_id

    assert found(shell, "--reference", "order:1") == [early, late]
    assert found(shell, "--principal", "b") == found(shell, "--device", "d" * 64) == [other]
    assert found(shell, "--principal", "b", "--reference", "order:1") == []
    assert found(shell, "--from", rfc3339(ENDED_AT + 1), "--to", rfc3339(ENDED_AT + 2)) == [late]
    line = shell.run("session", "find", "--reference", "order:2").lines[0]
    assert line == f"{other}  {rfc3339(ENDED_AT + 2)}  ResultAvailable  passed yes  reference order:2"


def test_search_tells_what_is_owed_from_what_is_still_to_come(shell: Shell) -> None:
    """As `--owed` does: a token that still runs may still be used."""
    shell.add(**OPEN)
    shell.add(**OPEN, created_at=ENDED_AT, token_expires_at=LATEST - EXPIRY_GRACE_MS)

    owed, coming, _ = shell.run("session", "find", "--from", rfc3339(0)).lines

    assert "  Started  owes its event  reference" in owed
    assert "  Started  its event is still to come  reference" in coming


def test_sessions_of_a_device_are_found_by_its_own_id(shell: Shell) -> None:
    """Also those that were made under another pepper. The search needs the caller of the device, and the pepper."""
    shell.environment["ID_PEPPER"] = f"new,{PEPPER}"
    old, new = [asyncio.run(pseudonyms_of(one).of("device", "anna", "a-phone")) for one in (PEPPER, "new")]
    sessions = [shell.add(device=device, created_at=ENDED_AT).session_id for device in (old, new)]
    shell.add()

    assert sorted(found(shell, "--device", "a-phone", "--caller", "anna")) == sorted(sessions)
    nothing = shell.run("session", "find", "--device", "a-phone")
    assert (nothing.status, nothing.lines) == (0, ["0 sessions found"])
    assert nothing.errors == ["ops: nothing found; where callers sign in, add --caller NAME"]
    shell.environment["ID_PEPPER"] = ""
    for words in (("--device", "a-phone"), ("--caller", "anna", "--owed")):
        assert shell.run("session", "find", *words).status == 2


def test_sessions_that_owe_their_event_are_found(shell: Shell) -> None:
    """Not one that may still be checked, and not one that was revoked without a check."""
    ended, opened = shell.add(published_at=None).session_id, shell.add(**OPEN).session_id
    shell.add(**OPEN, revoked=True)
    shell.add(**OPEN, token_expires_at=LATEST)
    shell.add()

    assert set(found(shell, "--owed")) == {ended, opened}


def test_search_goes_on_after_a_record_that_was_edited(shell: Shell) -> None:
    """It is named, and the exit status is 1."""
    good, bad = shell.add(), shell.add()
    shell.edit(bad.session_id, passed=True)

    result = shell.run("session", "find", "--reference", "order:1")

    assert result.status == 1
    assert (result.lines[0].split()[0], result.lines[1]) == (good.session_id, "1 session found")
    assert result.errors == [
        f"ops: session {bad.session_id}: {FORGED}",
        "ops: 1 of 2 records refused; see above",
    ]


def test_search_with_another_pepper_names_few_records(shell: Shell) -> None:
    """Nothing fits then: a million lines would hide why."""
    for _ in range(12):
        shell.add(**OPEN)
    shell.environment["ID_PEPPER"] = "another"

    ended = shell.run("session", "find", "--owed")
    shell.environment["ID_PEPPER"] = ""
    unchecked = shell.run("session", "find", "--owed")

    assert (ended.status, ended.lines) == (1, ["0 sessions found"])
    assert [FORGED in line for line in ended.errors] == [True] * 10 + [False] * 2
    assert ended.errors[10:] == ["ops: and 2 more", "ops: 12 of 12 records refused; see above"]
    assert (unchecked.status, unchecked.lines[-1]) == (0, "12 sessions found")
