"""Reading a result while others change the session, and when to ask again."""

import asyncio
import contextlib

import pytest

from collect_result.use_case import collect_result
from create_session.use_case import Created, create_session
from get_result.use_case import ResultQuery, ResultState, get_result
from revoke_session.use_case import revoke_session
from shared.access import OPERATE, Caller
from shared.app import App
from shared.errors import SessionNotFound, UpstreamFailure, UpstreamThrottled
from shared.face.model import LivenessDecision, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import MemoryQueue
from tests.collect_result.workshop import REAL, SPOOF, STARTED
from tests.support.app import app_of
from tests.support.commands import create_command
from tests.support.fake_face import FakeFace
from tests.support.intercepted import Call, Effect
from tests.support.time import FakeClock


@pytest.fixture
def face() -> FakeFace:
    return FakeFace()


async def begun(face: FakeFace, clock: FakeClock | None = None, limit: str = "1/s") -> tuple[App, Created]:
    app = app_of(face=face, clock=clock, THROTTLE_RESULT=limit)
    return app, await create_session(app, create_command())


async def asked(app: App, session: Created, digest: str | None = None) -> ResultState:
    query = ResultQuery(session.session_id, session.auth_token, Caller(), "a-request", digest)
    return await get_result(app, query)


async def held_up(
    app: App, face: FakeFace, session: Created
) -> tuple[asyncio.Task[ResultState], asyncio.Event]:
    """Start a poll that waits in Face until the event is set; later calls do not wait."""
    face.gate = gate = asyncio.Event()
    reading = asyncio.create_task(asked(app, session))
    await face.arrived.wait()
    face.gate = None
    return reading, gate


@pytest.mark.parametrize("rival", ["revocation", "collector"])
async def test_session_that_ends_while_face_is_asked(face: FakeFace, rival: str) -> None:
    """A revoked session is not found, a collected one has its result, although Face knows neither by then."""
    app, session = await begun(face)
    face.answer(session.session_id, REAL)
    reading, gate = await held_up(app, face, session)
    if rival == "revocation":
        await revoke_session(app, session.session_id, session.auth_token, Caller(), "a-request")
    else:
        await collect_result(app, CollectMessage(session.session_id, Reason.SWEEP))
    gate.set()

    if rival == "revocation":
        with pytest.raises(SessionNotFound):
            await reading
    else:
        assert (await reading).record.decision is LivenessDecision.REALFACE


async def test_failed_check_that_a_poll_has_read_counts_after_the_revocation(face: FakeFace) -> None:
    """Its answer comes when the session is revoked and deleted. The phone learns nothing, the event comes at once."""
    app, session = await begun(face)
    face.answer(session.session_id, SPOOF)
    gate = asyncio.Event()

    async def late(_: Call, effect: Effect) -> object:
        face.around = None
        answer = await effect()
        face.arrived.set()
        await gate.wait()
        return answer

    face.around = late
    reading = asyncio.create_task(asked(app, session))
    await face.arrived.wait()
    face.answer(session.session_id, STARTED)
    await revoke_session(app, session.session_id, session.auth_token, Caller(), "a-request")
    gate.set()

    with pytest.raises(SessionNotFound):
        await reading
    record = (await app.sessions.reload(session.session_id)).record
    assert (record.decision, record.deleted_upstream) == (LivenessDecision.SPOOFFACE, True)
    assert isinstance(app.queue, MemoryQueue)
    assert [CollectMessage.from_text(message.text).reason for message in app.queue.messages] == [
        Reason.SWEEP,
        Reason.POLL,
    ]


async def test_server_that_polls_a_revoked_session_costs_no_call_of_face(face: FakeFace) -> None:
    """It is not found, whatever Face knows."""
    app, session = await begun(face)
    face.fail("delete", UpstreamFailure("down"))
    with pytest.raises(UpstreamFailure):
        await revoke_session(app, session.session_id, session.auth_token, Caller(), "a-request")
    reads = face.calls["result"]
    server = Caller(principal="a-server", roles=frozenset({OPERATE}))

    with pytest.raises(SessionNotFound):
        await get_result(app, ResultQuery(session.session_id, None, server, "a-request"))
    assert face.calls["result"] == reads


async def test_poll_that_was_overtaken_answers_the_other_polls_record(face: FakeFace) -> None:
    """The slower one has an older answer of Face: both tell the result."""
    app, session = await begun(face, limit="off")
    face.answer(session.session_id, STARTED)
    slow, gate = await held_up(app, face, session)
    face.answer(session.session_id, REAL)
    first = await asked(app, session)
    # Face answered the slow one before the check ended.
    face.answer(session.session_id, STARTED)
    gate.set()

    assert (await slow).record == first.record
    assert first.record.status is SessionStatus.RESULT_AVAILABLE


@pytest.mark.parametrize(
    ("limit", "after_seconds", "expected_ms", "reads"),
    [("1/s", 0, 2_000, 1), ("1/30s", 0, 30_000, 1), ("1/30s", 10, 20_000, 1), ("off", 10, 2_000, 2)],
)
async def test_wait_is_as_long_as_the_limit(
    face: FakeFace, limit: str, after_seconds: int, expected_ms: int, reads: int
) -> None:
    """A poll that comes earlier gets the last known state, without a call of Face."""
    clock = FakeClock()
    app, session = await begun(face, clock, limit)
    state = await asked(app, session)
    if after_seconds:
        clock.advance_seconds(after_seconds)
        state = await asked(app, session)

    assert (state.retry_after_ms, face.calls["result"]) == (expected_ms, reads)


async def test_started_check_that_is_late_is_still_open(face: FakeFace) -> None:
    """While Face may bring a result, the status is not final: the phone would give up."""
    clock = FakeClock()
    app, session = await begun(face, clock)
    face.answer(session.session_id, STARTED)
    clock.advance_seconds(600 + 121)
    late = await asked(app, session)
    clock.advance_seconds(5)
    face.answer(session.session_id, REAL)

    assert (late.record.status, late.retry_after_ms is None) == (SessionStatus.STARTED, False)
    assert (await asked(app, session)).record.passed


def test_no_repr_shows_the_token() -> None:
    """A query in a log line opens no session."""
    assert "canary" not in repr(ResultQuery("an-id", "canary", Caller(), "a-request"))


async def test_poll_without_room_for_a_call_gets_what_is_known(face: FakeFace) -> None:
    """It is answered from the record, whether this instance has no room or Face; the wait is as long as Face asks."""
    app, session = await begun(face, limit="off")
    face.answer(session.session_id, REAL)
    face.fail("result", UpstreamThrottled("no room", retry_after=0.5, request_sent=False))
    face.fail("result", UpstreamThrottled("too many calls", retry_after=26))

    state = await asked(app, session)
    assert (state.record.status, state.retry_after_ms) == (SessionStatus.NOT_STARTED, 2_000)
    assert (await asked(app, session)).retry_after_ms == 26_000
    assert (await asked(app, session)).record.status is SessionStatus.RESULT_AVAILABLE


@pytest.mark.parametrize("limit", ["1/s", "off"])
@pytest.mark.parametrize(
    "trouble", [UpstreamThrottled("no room", request_sent=False), UpstreamFailure("down"), None]
)
@pytest.mark.parametrize(
    ("digest", "matches"), [("A" * 64, True), ("0" * 64, False), ("\ud800" * 9_000, False)]
)
async def test_digest_is_kept_although_its_poll_learns_nothing(
    face: FakeFace, limit: str, trouble: Exception | None, digest: str, matches: bool
) -> None:
    """The next read that has the decision compares it. A digest that comes later changes nothing."""
    clock = FakeClock()
    app, session = await begun(face, clock, limit)
    await asked(app, session)
    clock.advance_seconds(1)
    if trouble:
        face.fail("result", trouble)
    with contextlib.suppress(UpstreamFailure):
        await asked(app, session, digest)
    await asked(app, session, "A" * 64)
    face.answer(session.session_id, REAL)
    clock.advance_seconds(1)

    assert (await asked(app, session)).record.digest_matches is matches
    assert (await asked(app, session, "A" * 64)).record.digest_matches is matches


async def test_poll_after_a_revocation_is_told_so_at_once(face: FakeFace) -> None:
    """No answer comes from the memory of an instance: another one may have revoked the session since."""
    app, session = await begun(face)
    face.answer(session.session_id, REAL)
    assert (await asked(app, session)).record.passed
    await revoke_session(app, session.session_id, session.auth_token, Caller(), "a-request")
    with pytest.raises(SessionNotFound):
        await asked(app, session)
