"""`ops session erase`: what it deletes, what it tells subscribers, and in which order."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from create_session.use_case import create_session
from shared.access import Caller
from shared.errors import StorageUnavailable
from shared.events.cloud_event import ERASED
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import SessionRecord
from shared.storage.port import Entity, Table
from shared.throttle.subjects import rows_of
from tests.ops.shell import ENDED_AT, FORGED, OPEN, TRACEPARENT, UNKNOWN, Shell
from tests.support.app import PSEUDONYMS, app_of, pseudonyms_of
from tests.support.broker import PEPPER
from tests.support.commands import create_command
from tests.support.fake_face import FakeFace
from tests.support.intercepted import Call, Effect

NAME = "https://login.example/ anna"


def pseudonym(*parts: str) -> str:
    return asyncio.run(PSEUDONYMS.of(*parts))


DEVICE, CALLER = pseudonym("device", NAME, "a-phone"), pseudonym("principal", NAME)
OF_ANNA = {
    "device": DEVICE,
    "caller": CALLER,
    "principal": NAME,
    "limit_rows": tuple(rows_of(DEVICE, CALLER)),
}


def add_rows(shell: Shell, *keys: str) -> None:
    for key in keys:
        asyncio.run(shell.store.insert(Table.THROTTLE, Entity(key, {"created": "19aaf3d2c01"}, ENDED_AT)))


def left(shell: Shell) -> tuple[set[str], set[str]]:
    """The sessions and the rows of limits that are still there."""

    async def keys(table: Table) -> set[str]:
        return {entity.key async for entity in shell.store.inner.expired(table, 2**53)}

    return asyncio.run(keys(Table.SESSIONS)), asyncio.run(keys(Table.THROTTLE))


def of_anna(shell: Shell, **changes: Any) -> SessionRecord:  # noqa: ANN401 - of any field.
    return shell.add(**OF_ANNA | changes)


@pytest.mark.parametrize(
    "words",
    [
        ["--device", DEVICE],
        ["--device", "a-phone", "--caller", NAME],
        ["--principal", NAME],
        ["--reference", "order:7"],
    ],
    ids=["pseudonym", "device", "principal", "reference"],
)
def test_all_sessions_and_limits_of_a_person_are_erased(shell: Shell, words: Sequence[str]) -> None:
    """By what names the person. Subscribers are told of each session; others keep theirs."""
    sessions = [of_anna(shell, client_reference="order:7", **more).session_id for more in ({}, OPEN)]
    other = shell.add()
    add_rows(shell, f"device-{DEVICE}", f"principal-{CALLER}", "device-of-another")

    erased = shell.run("session", "erase", *words, "--yes")

    assert erased.status == 0
    assert (
        erased.lines[-1] == "2 sessions, of which 1 will never tell an outcome, and 2 rows of limits erased"
    )
    assert erased.errors == ["ops: other copies are not reached: see Erase a person in docs/operations.md"]
    assert left(shell) == ({other.session_id}, {"device-of-another"})
    told = [json.loads(line) for line in shell.events()]
    assert {event["subject"]: event["type"] for event in told} == dict.fromkeys(sessions, ERASED)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--device", "a-phone"], "; where callers sign in, add --caller NAME"),
        (["--device", "a-phone", "--caller", "https://login.example/ bert"], ""),
        (["--device", "f" * 64], ""),
        (["--principal", "nobody"], ""),
    ],
)
@pytest.mark.parametrize("caution", ["--yes", "--dry-run"])
def test_erasure_of_nothing_fails(shell: Shell, words: Sequence[str], hint: str, caution: str) -> None:
    """Else a request for erasure would be closed although the person's sessions are still there."""
    record = of_anna(shell)

    ended = shell.run("session", "erase", *words, caution)

    assert (ended.status, ended.lines, ended.errors) == (1, [], [f"ops: nothing found{hint}"])
    assert (left(shell)[0], shell.events()) == ({record.session_id}, [])


NEW = pseudonyms_of("new")
NEW_DEVICE = asyncio.run(NEW.of("device", NAME, "a-phone"))
NEW_CALLER = asyncio.run(NEW.of("principal", NAME))


@pytest.mark.parametrize(
    ("words", "is_from_before", "kept"),
    [
        (["--device", "a-phone", "--caller", NAME], True, {f"principal-{NEW_CALLER}"}),
        (["--principal", NAME], True, {f"device-{NEW_DEVICE}"}),
        (["--device", DEVICE], False, set()),
        (["--principal", NAME], False, set()),
    ],
    ids=["device", "principal", "pseudonym", "principal of a session in it"],
)
def test_limits_under_all_peppers_are_erased(
    shell: Shell, words: Sequence[str], is_from_before: bool, kept: set[str]
) -> None:
    """While the pepper is rotated: those that a session from before it, or the command line, lets be found."""
    shell.environment["ID_PEPPER"] = f"{PEPPER},new"
    rows = (*rows_of(DEVICE, CALLER), *rows_of(NEW_DEVICE, NEW_CALLER))
    of_anna(shell, limit_rows=rows[:2] if is_from_before else rows)
    add_rows(shell, *rows)

    assert shell.run("session", "erase", *words, "--yes").status == 0
    assert left(shell) == (set(), kept)


@pytest.mark.parametrize("named", [DEVICE, NEW_DEVICE], ids=["former", "new"])
def test_pseudonym_stands_for_the_sessions_under_the_other_pepper_too(shell: Shell, named: str) -> None:
    """Records that were made since the new pepper was added tell that both are one device."""
    shell.environment["ID_PEPPER"] = f"new,{PEPPER}"
    rows = (*rows_of(DEVICE, CALLER), *rows_of(NEW_DEVICE, NEW_CALLER))
    of_anna(shell, limit_rows=rows[:2])
    of_anna(shell, limit_rows=rows)
    of_anna(shell, device=NEW_DEVICE, limit_rows=rows)
    other = shell.add()
    add_rows(shell, *rows)

    ended = shell.run("session", "erase", "--device", named, "--yes")

    assert (ended.status, ended.lines[-1]) == (0, "3 sessions and 4 rows of limits erased")
    assert left(shell) == ({other.session_id}, set())


def test_create_leaves_nothing_that_is_not_erased(shell: Shell) -> None:
    """Not the answer for its idempotency key either; while the pepper is rotated, too."""
    shell.environment["ID_PEPPER"] = f"new,{PEPPER}"

    async def create() -> str:
        app = app_of(face=FakeFace(), store=shell.store, ID_PEPPER=shell.environment["ID_PEPPER"])
        command = create_command("a-phone", Caller(NAME), key="an-idempotency-key")
        return (await create_session(app, command)).session_id

    async def rows() -> list[Entity]:
        return [entity for table in Table async for entity in shell.store.inner.expired(table, 2**53)]

    session_id = asyncio.run(create())
    assert len(asyncio.run(rows())) == 1 + 2 * 2 + 1

    assert shell.run("session", "erase", session_id, "--yes").status == 0
    assert asyncio.run(rows()) == []


def test_erasure_that_fails_at_a_row_can_be_run_again(shell: Shell) -> None:
    """The record that names the rows is still there then."""
    of_anna(shell)
    add_rows(shell, f"device-{DEVICE}", f"principal-{CALLER}")

    async def fail_once(call: Call, effect: Effect) -> Any:  # noqa: ANN401 - of any call.
        if call.operation == "delete" and call.keys == (f"principal-{CALLER}",):
            shell.store.around = None
            raise StorageUnavailable("the table failed")
        return await effect()

    shell.store.around = fail_once
    failed = shell.run("session", "erase", "--reference", "order:1", "--yes")
    again = shell.run("session", "erase", "--reference", "order:1", "--yes")

    assert (failed.status, failed.errors) == (1, ["ops: the rows of limits: the table failed"])
    assert (again.status, left(shell)) == (0, (set(), set()))


def test_session_is_deleted_at_face_by_the_collector(shell: Shell) -> None:
    """At once, with its message: the session has no record any more. One that was deleted there has none."""
    record, done = shell.add(**OPEN), shell.add(deleted_upstream=True)

    for session_id in (record.session_id, done.session_id):
        assert shell.run("session", "erase", session_id, "--yes").status == 0

    assert left(shell)[0] == set()
    [message] = shell.results_messages()
    assert message == CollectMessage(record.session_id, Reason.REPLAY, traceparent=TRACEPARENT)


def test_record_is_kept_until_subscribers_are_told(shell: Shell) -> None:
    """A topic that fails leaves the session as it was, and the command can be run again."""
    record, other = shell.add(), shell.add()
    shell.environment["EVENTS_FILE"] = str(shell.folder)

    failed = shell.run("session", "erase", "--reference", "order:1", "--yes")

    assert failed.status == 1
    assert failed.errors[-1] == "ops: 2 sessions left; see above, and try again"
    assert left(shell)[0] == {record.session_id, other.session_id}
    assert shell.results_messages() == []


def test_message_that_cannot_be_sent_is_told(shell: Shell) -> None:
    """The record is gone: Face forgets the session after 48 hours, or the session's first message deletes it."""
    record = shell.add(**OPEN)
    shell.results.fail("send", StorageUnavailable("the queue failed"))

    ended = shell.run("session", "erase", record.session_id, "--yes")

    assert (ended.status, left(shell)[0]) == (1, set())
    assert ended.errors[0] == (
        f"ops: session {record.session_id}: deletion at Face: the queue liveness-results: the queue failed"
    )


def test_record_that_was_edited_is_kept_and_named(shell: Shell) -> None:
    """Its event would tell subscribers to delete what somebody wrote there."""
    shell.add(session_id=UNKNOWN)
    shell.edit(UNKNOWN, principal="b")
    other = shell.add(principal="b")

    ended = shell.run("session", "erase", "--principal", "b", "--yes")
    alone = shell.run("session", "erase", "--principal", "b", "--yes")

    assert (ended.status, alone.status, left(shell)[0]) == (1, 1, {UNKNOWN})
    for one in (ended, alone):
        assert f"ops: session {UNKNOWN}: {FORGED}" in one.errors
    assert "1 of 1 record" in alone.errors[-1]
    assert [json.loads(line)["subject"] for line in shell.events()] == [other.session_id]
