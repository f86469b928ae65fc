"""What a create leaves behind where something goes wrong, and for whom an idempotency key stands."""

from collections.abc import Sequence

import pytest

from create_session.body import CreateBody, parse_body, spec_of
from create_session.use_case import CreateCommand, Created, create_session
from shared.bootstrap import App
from shared.callers import Caller
from shared.errors import (
    DeviceThrottled,
    InvalidTokenLifetime,
    KeyUnavailable,
    StorageUnavailable,
    UpstreamError,
    UpstreamFailure,
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
