"""What a create leaves behind where something goes wrong, and for whom an idempotency key stands."""

import asyncio
from collections.abc import Sequence

import pytest

from create_session.body import CreateBody, parse_body, spec_of
from create_session.use_case import CreateCommand, Created, create_session
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.app import App
from shared.errors import (
    DeviceThrottled,
    IdempotencyKeyReused,
    InvalidTokenLifetime,
    KeyUnavailable,
    StorageUnavailable,
    UpstreamError,
    UpstreamFailure,
    UpstreamThrottled,
    UpstreamTimeout,
)
from shared.face.model import LivenessMode, SessionSpec
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, Table
from tests.support.app import app_of
from tests.support.fake_face import FakeFace

KEY = "an-idempotency-key"


def command_of(*, key: str | None = None, principal: str | None = None) -> CreateCommand:
    return CreateCommand(
        spec=SessionSpec(LivenessMode.PASSIVE, "a-device", 600),
        device_id="a-device",
        client_reference=None,
        caller=Caller(principal=principal),
        idempotency_key=key,
        fingerprint="the same",
        request_id="a-request",
    )


@pytest.mark.parametrize(
    "error",
    [
        UpstreamFailure("answered", request_sent=True),
        UpstreamTimeout("slow", request_sent=True),
        KeyUnavailable("the key was refused, and there is no newer one", request_sent=True),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_create_that_reached_face_stays_charged(error: UpstreamError | KeyUnavailable) -> None:
    """A session may exist there: whoever provokes failures cannot go on for nothing."""
    face = FakeFace()
    app = app_of(face=face, THROTTLE_DEVICE="1/10m")
    face.fail("create", error)
    with pytest.raises(type(error)):
        await create_session(app, command_of())

    with pytest.raises(DeviceThrottled):
        await create_session(app, command_of())


@pytest.mark.parametrize(
    "error",
    [UpstreamFailure("no connection", request_sent=False), KeyUnavailable("no key")],
    ids=lambda error: type(error).__name__,
)
async def test_create_that_never_reached_face_costs_nothing(error: UpstreamError | KeyUnavailable) -> None:
    """What was provably not used is given back."""
    face = FakeFace()
    app = app_of(face=face, THROTTLE_DEVICE="1/10m")
    face.fail("create", error)
    with pytest.raises(type(error)):
        await create_session(app, command_of())

    assert isinstance(await create_session(app, command_of()), Created)


class NoAnswersStore(MemoryStore):
    """A store in which no answer of an idempotency key can be written."""

    async def replace(self, table: Table, entity: Entity) -> Entity:
        if table is Table.IDEMPOTENCY:
            raise StorageUnavailable("down for the test")
        return await super().replace(table, entity)


async def test_answer_that_cannot_be_stored_leaves_neither_session_nor_record() -> None:
    """The record was written beside the answer that was not: both are taken back."""
    face = FakeFace()
    app = app_of(face=face, store=NoAnswersStore())

    with pytest.raises(StorageUnavailable):
        await create_session(app, command_of(key=KEY))

    (session_id,) = face.specs
    assert face.deleted == [session_id]
    assert await app.sessions.get(session_id) is None


async def test_answer_that_was_given_again_stays() -> None:
    """From then on, nobody may withdraw it: the row says so."""
    app = app_of()
    await create_session(app, command_of(key=KEY))
    before = await _rows(app)
    await create_session(app, command_of(key=KEY))

    assert ["repeated" in row.values for row in before] == [False]
    assert ["repeated" in row.values for row in await _rows(app)] == [True]


async def test_key_of_another_caller_is_another_key() -> None:
    """Two callers who happen to choose the same key do not get each other's sessions."""
    app = app_of()
    made = [await create_session(app, command_of(key=KEY, principal=name)) for name in ("anna", "bert")]

    assert len({created.session_id for created in made}) == 2


@pytest.mark.parametrize(("ceiling", "expected"), [(86_400, 600), (600, 600), (300, 300), (60, 60)])
def test_lifetime_that_is_not_named_is_within_the_ceiling(ceiling: int, expected: int) -> None:
    """Who asks for nothing gets ten minutes, or less where the operator allows less."""
    body = parse_body({"livenessOperationMode": "Passive", "deviceCorrelationId": "x"})

    assert spec_of(body, FakeFace(), ceiling, hides_decisions=False).token_lifetime == expected


def test_lifetime_that_is_named_is_held_to_the_ceiling() -> None:
    """What was asked for is given or refused, never changed."""
    body = parse_body({"livenessOperationMode": "Passive", "authTokenTimeToLiveInSeconds": 301})

    with pytest.raises(InvalidTokenLifetime):
        spec_of(body, FakeFace(), 300, hides_decisions=False)


def test_no_repr_shows_what_a_caller_sent() -> None:
    """Neither the device's id nor the idempotency key, nor the request that it stands for."""
    canary = "canary-of-a-caller"
    spec = SessionSpec(LivenessMode.PASSIVE, canary, 600)
    command = CreateCommand(spec, canary, None, Caller(), canary, canary, "a-request")
    body = CreateBody("Passive", canary, False, None, False, None)

    assert canary not in repr([spec, command, body])


async def _rows(app: App) -> Sequence[Entity]:
    return [entity async for entity in app.store.expired(Table.IDEMPOTENCY, 2**62)]


class CountingStore(MemoryStore):
    """A store that counts what it is asked."""

    calls = 0

    async def get(self, table: Table, key: str) -> Entity | None:
        self.calls += 1
        return await super().get(table, key)

    async def insert(self, table: Table, entity: Entity) -> Entity:
        self.calls += 1
        return await super().insert(table, entity)

    async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        self.calls += 1
        return await super().write_together(table, entities)


async def test_create_without_room_at_face_touches_no_store() -> None:
    """When Face has no room, whatever is done before it says so would be done for nothing, and taken back."""
    face, store = FakeFace(), CountingStore()
    app = app_of(face=face, store=store)
    face.fail("room", UpstreamThrottled("no room", retry_after=3.0, request_sent=False))

    with pytest.raises(UpstreamThrottled):
        await create_session(app, command_of())

    assert (store.calls, face.calls["create"]) == (0, 0)


async def test_answered_create_is_answered_again_without_room_at_face() -> None:
    """What was made already needs none."""
    face = FakeFace()
    app = app_of(face=face)
    first = await create_session(app, command_of(key=KEY))
    face.fail("room", UpstreamThrottled("no room", retry_after=3.0, request_sent=False))

    assert (await create_session(app, command_of(key=KEY))).auth_token == first.auth_token


async def test_session_that_was_revoked_is_not_handed_out_again() -> None:
    """Its token is dead: the phone hears that it needs a new key, rather than fail in the middle of a check."""
    face = FakeFace()
    app = app_of(face=face)
    created = await create_session(app, command_of(key=KEY))
    await revoke_session(app, created.session_id, created.auth_token, Caller(), "a-request")

    with pytest.raises(IdempotencyKeyReused):
        await create_session(app, command_of(key=KEY))
    assert face.calls["create"] == 1


async def test_first_replays_at_the_same_time_all_get_the_answer() -> None:
    """Whichever of them says first that the answer stays, it holds for the others too."""
    app = app_of()
    first = await create_session(app, command_of(key=KEY))

    replays = await asyncio.gather(*(create_session(app, command_of(key=KEY)) for _ in range(4)))

    assert {replay.auth_token for replay in replays} == {first.auth_token}


async def test_flood_of_refused_creates_with_ever_new_keys_hardly_reads() -> None:
    """Each might be one that was answered before: the instance looks once a second for each device."""
    store = CountingStore()
    app = app_of(store=store, THROTTLE_DEVICE="1/10m")
    await create_session(app, command_of())
    with pytest.raises(DeviceThrottled):
        await create_session(app, command_of())
    store.calls = 0
    for number in range(100):
        with pytest.raises(DeviceThrottled):
            await create_session(app, command_of(key=f"key-number-{number:08}"))

    assert store.calls == 1
