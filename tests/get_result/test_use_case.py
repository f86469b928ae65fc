"""Reading a result while others change the session, and when it is worth asking again."""

import asyncio

import pytest

from create_session.use_case import CreateCommand, Created, create_session
from get_result.use_case import ResultQuery, ResultState, get_result
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.app import App
from shared.errors import SessionNotFound
from shared.face.model import LivenessDecision, LivenessMode, SessionResult, SessionSpec, SessionStatus
from tests.support.app import app_of
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock

REAL = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, digest="A" * 64)
STARTED = SessionResult(SessionStatus.STARTED)


async def created_in(app: App) -> Created:
    spec = SessionSpec(LivenessMode.PASSIVE, "a-device", 600)
    return await create_session(app, CreateCommand(spec, "a-device", None, Caller(), None, "", "a-request"))


async def asked(app: App, session: Created) -> ResultState:
    return await get_result(app, ResultQuery(session.session_id, session.auth_token, Caller(), "a-request"))


async def held_up(
    app: App, face: FakeFace, session: Created
) -> tuple[asyncio.Task[ResultState], asyncio.Event]:
    """Have a result read by a request that waits in Face, alone, until the event is set."""
    face.gate = gate = asyncio.Event()
    reading = asyncio.create_task(asked(app, session))
    await face.arrived.wait()
    face.gate = None
    return reading, gate


async def test_session_that_is_revoked_while_face_is_asked_is_not_disclosed() -> None:
    """The phone called it off: what Face says a moment later is nobody's business any more."""
    face = FakeFace()
    app = app_of(face=face)
    session = await created_in(app)
    face.answer(session.session_id, REAL)
    reading, gate = await held_up(app, face, session)
    await revoke_session(app, session.session_id, session.auth_token, Caller(), "a-request")
    gate.set()

    with pytest.raises(SessionNotFound):
        await reading


async def test_reader_that_was_overtaken_answers_what_the_other_wrote() -> None:
    """Two polls ask Face, the slower one with an older answer: both tell the result."""
    face = FakeFace()
    app = app_of(face=face, THROTTLE_RESULT="off")
    session = await created_in(app)
    face.answer(session.session_id, STARTED)
    slow, gate = await held_up(app, face, session)
    face.answer(session.session_id, REAL)
    first = await asked(app, session)
    # The slow one was answered before the check ended.
    face.answer(session.session_id, STARTED)
    gate.set()

    assert (await slow).record == first.record
    assert first.record.status is SessionStatus.RESULT_AVAILABLE


@pytest.mark.parametrize(
    ("limit", "after_ms", "expected"),
    [("1/s", 0, 2_000), ("1/30s", 0, 30_000), ("1/30s", 10_000, 20_000), ("off", 0, 2_000)],
)
async def test_wait_is_as_long_as_the_limit_keeps_face_from_being_asked(
    limit: str, after_ms: int, expected: int
) -> None:
    """Who comes earlier would only hear the same again."""
    app = app_of(THROTTLE_RESULT=limit)
    session = await created_in(app)
    first = await asked(app, session)
    assert isinstance(app.clock, FakeClock)
    app.clock.advance_seconds(after_ms / 1000)
    state = await asked(app, session) if after_ms else first

    assert state.retry_after_ms == expected


async def test_started_check_that_is_late_is_still_open() -> None:
    """While Face may bring its result, nothing final is told: a phone would give up what can still pass."""
    face = FakeFace()
    app = app_of(face=face)
    session = await created_in(app)
    face.answer(session.session_id, STARTED)
    assert isinstance(app.clock, FakeClock)
    app.clock.advance_seconds(600 + 121)
    late = await asked(app, session)
    app.clock.advance_seconds(5)
    face.answer(session.session_id, REAL)

    assert (late.record.status, late.retry_after_ms is None) == (SessionStatus.STARTED, False)
    assert (await asked(app, session)).record.passed(None)


def test_no_repr_shows_the_token() -> None:
    """A query that ends in a log line tells nothing that opens a session."""
    assert "canary" not in repr(ResultQuery("an-id", "canary", Caller(), "a-request"))
