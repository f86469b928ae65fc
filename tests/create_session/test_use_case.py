"""What a create leaves behind where something goes wrong, and what an idempotency key stands for."""

import asyncio
from dataclasses import replace

import pytest

from create_session.use_case import CreateCommand, create_session
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.errors import (
    DeviceThrottled,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    KeyUnavailable,
    StorageUnavailable,
    Throttled,
    UpstreamFailure,
    UpstreamThrottled,
    UpstreamTimeout,
)
from shared.face.budget import Budget, Lane
from shared.face.model import LivenessMode, SessionSpec
from shared.idempotency import LEASE_MS
from shared.sessions.record import EXPIRY_GRACE_MS, Step
from shared.storage.port import Table
from tests.collect_result.workshop import Workshop
from tests.shared.face.doubles import CREATED, REQUEST_ID, ScriptedFace
from tests.support.app import app_of
from tests.support.commands import create_command
from tests.support.fake_face import FakeFace
from tests.support.intercepted import Call, Effect, failing_once
from tests.support.store import FakeStore
from tests.support.time import FakeClock, in_virtual_time

KEY = "an-idempotency-key"
NO_ROOM = UpstreamThrottled("no room", retry_after=3.0, request_sent=False)


class Scene(Workshop):
    """A broker over doubles, and what is left after a create."""

    def live(self) -> set[str]:
        """The sessions that somebody with their token could use."""
        return set(self.face.specs) - set(self.face.deleted)

    async def require_all_live_are_kept(self) -> None:
        for session_id in self.live():
            assert await self.app.sessions.get(session_id)
            assert any(session_id in message.text for message in self.messages)


DOWN = StorageUnavailable("for the test")
BUG = ValueError("a fault of the broker's own")


@pytest.mark.parametrize(
    ("operation", "table", "error", "raised"),
    [
        ("create", None, UpstreamFailure("answered", request_sent=True), UpstreamFailure),
        ("create", None, UpstreamTimeout("slow", request_sent=True), UpstreamTimeout),
        ("create", None, KeyUnavailable("no newer key", request_sent=True), KeyUnavailable),
        ("create", None, UpstreamFailure("no connection", request_sent=False), UpstreamFailure),
        ("create", None, BUG, ValueError),
        ("send", None, DOWN, StorageUnavailable),
        ("send", None, BUG, ValueError),
        ("insert", Table.SESSIONS, DOWN, StorageUnavailable),
        ("insert", Table.SESSIONS, KeyUnavailable("no key for the record's MAC"), StorageUnavailable),
    ],
    ids=str,
)
@pytest.mark.parametrize("key", [None, KEY])
async def test_create_that_fails_is_undone_and_not_charged(
    operation: str, table: Table | None, error: Exception, raised: type[Exception], key: str | None
) -> None:
    """A minute of failures must not lock honest devices out. A session that was made is deleted, with its record."""
    scene = Scene(THROTTLE_DEVICE="1/10m")
    failing = failing_once(operation, table, arrives=operation != "create", error=error)
    scene.face.around = scene.queue.around = scene.store.around = failing
    with pytest.raises(raised):
        await create_session(scene.app, create_command(key=key))
    assert scene.live() == set()
    assert [await scene.app.sessions.get(session_id) for session_id in scene.face.specs] in ([], [None])

    await create_session(scene.app, create_command(key=key))
    with pytest.raises(DeviceThrottled):
        await create_session(scene.app, create_command())


@pytest.mark.parametrize("key", [None, KEY])
async def test_session_that_face_gives_twice_stays_with_the_first_phone(key: str | None) -> None:
    """The second create fails and is not charged; nothing of the first one is deleted."""
    face = FakeFace()
    app = app_of(face=face, THROTTLE_DEVICE="1/10m")
    first = await create_session(app, create_command())
    # The fake counts its sessions, so that it begins anew.
    face.specs.clear()
    with pytest.raises(UpstreamFailure):
        await create_session(app, create_command(key=key, device="another"))

    assert face.deleted == []
    assert await app.sessions.get(first.session_id)
    await create_session(app, create_command(key=key, device="another"))


CALLS = [
    ("insert", Table.IDEMPOTENCY),
    ("send", None),
    ("insert", Table.SESSIONS),
    ("replace", Table.IDEMPOTENCY),
]
"""The calls of a create in their order: a record has its end on its way, and an answer has its record."""


@pytest.mark.parametrize("arrives", [False, True], ids=["not sent", "answer lost"])
@pytest.mark.parametrize(("operation", "table"), CALLS, ids=lambda value: str(getattr(value, "value", value)))
async def test_whatever_call_fails_the_key_works_at_once(
    operation: str, table: Table | None, arrives: bool
) -> None:
    """No live session lacks its record and its sweep, and a repeat is answered with a session, not told to wait."""
    scene = Scene()
    scene.store.around = scene.queue.around = failing_once(operation, table, arrives=arrives, error=DOWN)
    answers = []
    for _ in range(3):
        try:
            answers.append(await create_session(scene.app, create_command(key=KEY)))
        except StorageUnavailable:
            assert not answers
        await scene.require_all_live_are_kept()

    assert len(answers) >= 2
    assert {answer.session_id for answer in answers} == scene.live()


@in_virtual_time
async def test_session_without_a_record_is_deleted_at_face_where_there_is_no_room() -> None:
    """The deletion belongs to the create: nobody would come back to delete the session."""
    budget = Budget(0.1, monotonic=asyncio.get_running_loop().time)
    face, store = ScriptedFace((200, CREATED), (200, b"")), FakeStore()
    store.around = failing_once("insert", Table.SESSIONS, arrives=False, error=DOWN)
    await budget.take(Lane.READ, within=0)
    command = replace(create_command(), request_id=REQUEST_ID)

    with pytest.raises(StorageUnavailable):
        await create_session(app_of(face=face.client(budget=budget), store=store), command)

    assert [request.method for request in face.requests] == ["POST", "DELETE"]


async def test_create_keeps_what_its_end_needs() -> None:
    """The record knows the session as it was given, and the sweep comes when its record can be settled."""
    scene = Scene()
    created = await create_session(scene.app, create_command(key=KEY))

    stored = await scene.app.sessions.get(created.session_id)
    assert stored is not None
    record, now = stored.record, scene.app.clock()
    assert record.created_at == now
    assert record.token_expires_at == created.expires_at == now + 600_000
    assert record.is_held_by(created.auth_token, (), record.created_at)
    assert record.history == ((now, Step.CREATED),)
    (message,) = scene.messages
    assert message.visible_at == record.token_expires_at + EXPIRY_GRACE_MS + 5_000


async def test_sweep_is_sent_before_the_record_and_the_answer_comes_last() -> None:
    """Whenever the process dies: a record has its end on its way, and an answer has its record."""
    scene = Scene()
    order: list[tuple[str, object]] = []

    async def noted(call: Call, effect: Effect) -> object:
        order.append((call.operation, call.table))
        return await effect()

    scene.store.around = scene.queue.around = noted
    await create_session(scene.app, create_command(key=KEY))

    assert [call for call in order if call[1] is not Table.THROTTLE] == CALLS


async def test_repeats_write_nothing_and_ask_nobody() -> None:
    """Any number of repeats, at once or later, get the same words, for two reads each."""
    scene = Scene()
    first = await create_session(scene.app, create_command(key=KEY))
    scene.store.calls.clear()

    repeats = await asyncio.gather(*(create_session(scene.app, create_command(key=KEY)) for _ in range(4)))

    assert repeats == [first] * 4
    assert (scene.store.count("replace", "delete", "write_together"), scene.store.count("get")) == (0, 8)
    # What was made already needs no room at Face either.
    scene.face.fail("room", NO_ROOM)
    assert await create_session(scene.app, create_command(key=KEY)) == first
    assert scene.face.calls["create"] == 1


async def test_revoked_session_is_not_handed_out_again() -> None:
    """Its token is dead, so the phone is told to make a new key. It is told the same where the record is gone."""
    scene = Scene()
    created = await create_session(scene.app, create_command(key=KEY))
    await revoke_session(scene.app, created.session_id, created.auth_token, Caller(), "a-request")
    with pytest.raises(IdempotencyKeyReused):
        await create_session(scene.app, create_command(key=KEY))
    await scene.app.sessions.remove(created.session_id)
    with pytest.raises(IdempotencyKeyReused):
        await create_session(scene.app, create_command(key=KEY))

    assert scene.face.calls["create"] == 1


@pytest.mark.parametrize(("key", "reads"), [(None, 0), (KEY, 1)], ids=["without a key", "with a key"])
async def test_create_without_room_at_face_writes_nothing(key: str | None, reads: int) -> None:
    """What it did before would be done for nothing; with a key, it looks for an answer."""
    scene = Scene()
    scene.face.fail("room", NO_ROOM)
    with pytest.raises(UpstreamThrottled):
        await create_session(scene.app, create_command(key=key))

    assert (scene.store.count(), scene.store.count("get"), scene.face.calls["create"]) == (reads, reads, 0)


@pytest.mark.parametrize("principal", [None, "anna"], ids=["address", "person"])
async def test_flood_of_refused_creates_with_new_keys_hardly_reads(principal: str | None) -> None:
    """Each might be one that was answered before: the instance looks once a second for each address.

    It looks so for each person where callers sign in: new device ids and addresses do not help.
    """
    store = FakeStore()
    app = app_of(store=store, THROTTLE_DEVICE="1/10m", THROTTLE_PRINCIPAL="1/10m")
    await create_session(app, create_command(caller=Caller(principal)))
    with pytest.raises(Throttled):
        await create_session(app, create_command(caller=Caller(principal)))
    store.calls.clear()
    for number in range(100):
        device, host = (f"device-{number}", number) if principal else ("a-device", 0)
        caller = Caller(principal, f"192.0.2.{host}")
        command = create_command(device, caller, key=f"key-number-{number:08}")
        with pytest.raises(Throttled):
            await create_session(app, command)

    assert store.count() == 1


async def slow_calls(call: Call, effect: Effect) -> object:
    """Let each call of store and queue take most of its two seconds."""
    await asyncio.sleep(1.9)
    return await effect()


@pytest.mark.parametrize("key", [None, KEY], ids=["without a key", "with a key"])
@in_virtual_time
async def test_create_that_takes_too_long_is_answered_in_time(key: str | None) -> None:
    """Its session is the answer to a repeat under its key; without one nobody can ask for it, and it is undone."""
    scene, now = Scene(), asyncio.get_running_loop().time
    scene.store.around = scene.queue.around = slow_calls
    scene.face.gate = asyncio.Event()
    asyncio.get_running_loop().call_later(8.0, scene.face.gate.set)
    with pytest.raises(StorageUnavailable) as late:
        await create_session(scene.app, create_command(key=key), 9.5)
    assert now() == 9.5
    assert late.value.retry_after == 1.0

    scene.store.around = None
    if key:
        with pytest.raises(IdempotencyInProgress):
            await create_session(scene.app, create_command(key=key))
    await asyncio.sleep(60.0)
    (session_id,) = scene.face.specs
    kept = await scene.app.sessions.get(session_id)
    assert (kept is not None, scene.face.deleted) == (bool(key), [] if key else [session_id])
    assert session_id in scene.messages[0].text
    if key:
        assert (await create_session(scene.app, create_command(key=key))).session_id == session_id
    assert scene.face.calls["create"] == 1


@pytest.mark.parametrize(
    ("deadline", "error"), [(0.0, KeyUnavailable), (1.0, StorageUnavailable), (9.0, UpstreamTimeout)]
)
@in_virtual_time
async def test_late_create_names_what_it_waits_for(deadline: float, error: type[Exception]) -> None:
    """The start of the request counts, so that sign-in can have used up the time: then nothing is started."""
    scene = Scene()
    scene.store.around = slow_calls
    scene.face.gate = asyncio.Event()
    with pytest.raises(error):
        await create_session(scene.app, create_command(), deadline)
    assert asyncio.get_running_loop().time() == deadline
    assert scene.store.count() == 0 if not deadline else scene.store.count() > 0


@in_virtual_time
async def test_late_create_that_failed_at_face_names_face() -> None:
    """Its charge is being taken back, which is not why it failed."""
    scene = Scene()
    scene.store.around = slow_calls
    scene.face.fail("create", UpstreamTimeout("silent"))
    with pytest.raises(UpstreamTimeout, match="silent"):
        await create_session(scene.app, create_command(), 3.0)
    assert asyncio.get_running_loop().time() == 3.0


@in_virtual_time
async def test_create_of_a_phone_that_hangs_up_ends_with_it() -> None:
    """What it began is left as by a process that dies; the key can be tried again after its lease."""
    scene = Scene()
    scene.store.around = slow_calls
    create = asyncio.create_task(create_session(scene.app, create_command()))
    await asyncio.sleep(1.0)
    create.cancel()
    await asyncio.sleep(60.0)

    assert create.cancelled()
    assert scene.face.calls["create"] == 0


def test_no_repr_shows_what_a_caller_sent() -> None:
    """Neither the device's id nor the idempotency key, nor the request that it stands for."""
    canary = "canary-of-a-caller"
    spec = SessionSpec(LivenessMode.PASSIVE, canary, 600)

    assert canary not in repr(CreateCommand(spec, canary, None, Caller(), canary, canary, "a-request"))


async def test_key_whose_first_request_died_is_charged_once() -> None:
    """The process ends while Face works. The phone repeats its create when the lease has ended."""
    face, store, clock = FakeFace(), FakeStore(), FakeClock()
    app = app_of(face=face, store=store, clock=clock, THROTTLE_DEVICE="2/10m")
    face.gate = asyncio.Event()
    dying = asyncio.create_task(create_session(app, create_command(key=KEY)))
    await face.arrived.wait()
    face.gate = None
    clock.advance_ms(LEASE_MS)
    another = app_of(face=face, store=store, clock=clock, THROTTLE_DEVICE="2/10m")

    await create_session(another, create_command(key=KEY))
    await create_session(another, create_command())
    with pytest.raises(DeviceThrottled):
        await create_session(another, create_command())
    dying.cancel()
