"""Reading a result while others change the session, and when to ask again."""

import asyncio
import contextlib

import pytest

from create_session.use_case import create_session
from get_result.use_case import ResultQuery, ResultState, get_result
from shared.access import OPERATE, Caller
from shared.errors import EntityChanged, SessionNotFound, UpstreamFailure, UpstreamThrottled
from shared.face.model import LivenessDecision, Reader, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import SessionRecord
from tests.collect_result.workshop import PHONE, REAL, SPOOF, STARTED, Workshop
from tests.support.commands import create_command
from tests.support.intercepted import Call, Effect


@pytest.fixture
def workshop() -> Workshop:
    """A broker over doubles, with the default settings."""
    return Workshop()


async def held_up(workshop: Workshop, session_id: str) -> tuple[asyncio.Task[ResultState], asyncio.Event]:
    """Start a poll that waits in Face until the event is set; later calls do not wait."""
    face = workshop.face
    face.gate = gate = asyncio.Event()
    reading = asyncio.create_task(workshop.poll(session_id))
    await face.arrived.wait()
    face.gate = None
    return reading, gate


@pytest.mark.parametrize("rival", ["revocation", "collector"])
async def test_session_that_ends_while_face_is_asked(workshop: Workshop, rival: str) -> None:
    """A revoked session is not found, a collected one has its result, although Face knows neither by then."""
    session_id = await workshop.created(REAL)
    reading, gate = await held_up(workshop, session_id)
    if rival == "revocation":
        await workshop.revoke(session_id)
    else:
        await workshop.collect(session_id)
    gate.set()

    if rival == "revocation":
        with pytest.raises(SessionNotFound):
            await reading
    else:
        assert (await reading).record.decision is LivenessDecision.REALFACE


async def test_failed_check_that_a_poll_has_read_counts_after_the_revocation(workshop: Workshop) -> None:
    """Its answer comes when the session is revoked and deleted. The phone learns nothing, the event comes at once."""
    session_id = await workshop.created(SPOOF)
    face, gate = workshop.face, asyncio.Event()

    async def late(_: Call, effect: Effect) -> object:
        face.around = None
        answer = await effect()
        face.arrived.set()
        await gate.wait()
        return answer

    face.around = late
    reading = asyncio.create_task(workshop.poll(session_id))
    await face.arrived.wait()
    face.answer(session_id, STARTED)
    await workshop.revoke(session_id)
    gate.set()

    with pytest.raises(SessionNotFound):
        await reading
    record = await workshop.record(session_id)
    assert (record.decision, record.deleted_upstream) == (LivenessDecision.SPOOFFACE, True)
    assert workshop.waiting == [CollectMessage(session_id, Reason.POLL)]


SERVER = Caller(principal="a-server", roles=frozenset({OPERATE}))


async def test_server_reads_without_the_token_and_its_digest_does_not_count(workshop: Workshop) -> None:
    """Only the phone's own digest says what the phone saw. A caller without the role needs the token."""
    session_id = await workshop.created(REAL)

    async def read(token: str | None, caller: Caller) -> SessionRecord:
        query = ResultQuery(session_id, token, caller, "a-request", digest="0" * 64)
        return (await get_result(workshop.app, query)).record

    for token, caller in ((None, PHONE), ("a-guess", SERVER)):
        with pytest.raises(SessionNotFound):
            await read(token, caller)
    record = await read(None, SERVER)
    assert (record.passed, record.sent_digest, record.digest_matches) == (True, None, None)


async def test_server_that_polls_a_revoked_session_costs_no_call_of_face(workshop: Workshop) -> None:
    """It is not found, whatever Face knows."""
    session_id = await workshop.created()
    workshop.face.fail("delete", UpstreamFailure("down"))
    with pytest.raises(UpstreamFailure):
        await workshop.revoke(session_id)
    reads = workshop.face.calls["result"]

    with pytest.raises(SessionNotFound):
        await get_result(workshop.app, ResultQuery(session_id, None, SERVER, "a-request"))
    assert workshop.face.calls["result"] == reads


async def test_poll_that_was_overtaken_answers_the_other_polls_record() -> None:
    """The slower one has an older answer of Face: both tell the result."""
    workshop = Workshop(THROTTLE_RESULT="off")
    session_id = await workshop.created(STARTED)
    slow, gate = await held_up(workshop, session_id)
    workshop.face.answer(session_id, REAL)
    first = await workshop.poll(session_id)
    # Face answered the slow one before the check ended.
    workshop.face.answer(session_id, STARTED)
    gate.set()

    assert (await slow).record == first.record
    assert first.record.status is SessionStatus.RESULT_AVAILABLE


@pytest.mark.parametrize(("principal", "network"), [("anna", "192.0.2.1"), (None, "192.0.2.1"), (None, None)])
async def test_room_at_face_is_shared_by_callers_or_addresses_or_sessions(
    workshop: Workshop, principal: str | None, network: str | None
) -> None:
    """A poll that asks again comes after others, unless it brings the first digest."""
    caller = Caller(principal, network)
    created = await create_session(workshop.app, create_command(caller=caller))
    for digest in (None, None, "A" * 64, "A" * 64):
        query = ResultQuery(created.session_id, created.auth_token, caller, "a-request", digest)
        await get_result(workshop.app, query)
        workshop.clock.advance_seconds(1)

    name = await caller.pseudonym(workshop.app.pseudonyms) or network or created.session_id
    assert workshop.face.readers == [Reader(name, again=again) for again in (False, True, False, True)]


async def test_final_result_is_answered_from_the_record(workshop: Workshop) -> None:
    """It costs no call of Face, also where the phone sends its digest only now. Its event was asked for once."""
    session_id = await workshop.created(REAL)
    await workshop.poll(session_id)
    workshop.clock.advance_seconds(1)
    state = await workshop.poll(session_id, "A" * 64)

    assert (state.record.digest_matches, state.retry_after_ms) == (True, None)
    assert (workshop.face.calls["result"], workshop.waiting) == (1, [CollectMessage(session_id, Reason.POLL)])


async def test_poll_that_lost_its_place_answers_the_record_of_the_other(workshop: Workshop) -> None:
    """Face is not asked twice at once."""
    session_id = await workshop.created(REAL)
    workshop.store.fail("replace", EntityChanged())
    state = await workshop.poll(session_id)

    assert (state.record.status, state.retry_after_ms) == (SessionStatus.NOT_STARTED, 2_000)
    assert workshop.face.calls["result"] == 0


@pytest.mark.parametrize(
    ("limit", "after_seconds", "expected_ms", "reads"),
    [
        ("1/s", 0, 2_000, 1),
        ("1/30s", 0, 30_000, 1),
        ("1/30s", 10, 20_000, 1),
        ("1/30s", 29.999, 2_000, 1),
        ("1/30s", 30, 30_000, 2),
        ("off", 10, 2_000, 2),
    ],
)
async def test_wait_is_as_long_as_the_limit(
    limit: str, after_seconds: float, expected_ms: int, reads: int
) -> None:
    """A poll that comes earlier gets the last known state, without a call of Face."""
    workshop = Workshop(THROTTLE_RESULT=limit)
    session_id = await workshop.created()
    state = await workshop.poll(session_id)
    if after_seconds:
        workshop.clock.advance_seconds(after_seconds)
        state = await workshop.poll(session_id)

    assert (state.retry_after_ms, workshop.face.calls["result"]) == (expected_ms, reads)


@pytest.mark.parametrize(("pause", "reads"), [(0.999, [1, 1, 1]), (1, [1, 2, 2])])
async def test_first_digest_does_not_wait_as_an_idle_session_does(
    workshop: Workshop, pause: float, reads: list[int]
) -> None:
    """It says that the phone made a check. The limit of a session holds all the same."""
    session_id = await workshop.created()
    workshop.clock.advance_seconds(100)
    made = []
    for digest in (None, "A" * 64, "A" * 64):
        await workshop.poll(session_id, digest)
        made.append(workshop.face.calls["result"])
        workshop.clock.advance_seconds(pause)

    assert made == reads
    assert (await workshop.record(session_id)).sent_digest


def test_no_repr_shows_the_token() -> None:
    """A query in a log line opens no session."""
    assert "canary" not in repr(ResultQuery("an-id", "canary", Caller(), "a-request"))


async def test_poll_without_room_for_a_call_gets_what_is_known() -> None:
    """It is answered from the record, whether this instance has no room or Face; the wait is as long as Face asks."""
    workshop = Workshop(THROTTLE_RESULT="off")
    session_id = await workshop.created(REAL)
    workshop.face.fail("result", UpstreamThrottled("no room", retry_after=0.5, request_sent=False))
    workshop.face.fail("result", UpstreamThrottled("too many calls", retry_after=26))

    state = await workshop.poll(session_id)
    assert (state.record.status, state.retry_after_ms) == (SessionStatus.NOT_STARTED, 2_000)
    assert (await workshop.poll(session_id)).retry_after_ms == 26_000
    assert (await workshop.poll(session_id)).record.status is SessionStatus.RESULT_AVAILABLE


@pytest.mark.parametrize("limit", ["1/s", "off"])
@pytest.mark.parametrize(
    "trouble", [UpstreamThrottled("no room", request_sent=False), UpstreamFailure("down"), None]
)
@pytest.mark.parametrize(
    ("digest", "matches"), [("A" * 64, True), ("0" * 64, False), ("\ud800" * 9_000, False)]
)
async def test_digest_is_kept_although_its_poll_learns_nothing(
    limit: str, trouble: Exception | None, digest: str, matches: bool
) -> None:
    """The next read that has the decision compares it. A digest that comes later changes nothing."""
    workshop = Workshop(THROTTLE_RESULT=limit)
    session_id = await workshop.created()
    await workshop.poll(session_id)
    workshop.clock.advance_seconds(1)
    if trouble:
        workshop.face.fail("result", trouble)
    with contextlib.suppress(UpstreamFailure):
        await workshop.poll(session_id, digest)
    await workshop.poll(session_id, "A" * 64)
    workshop.face.answer(session_id, REAL)
    workshop.clock.advance_seconds(1)

    assert (await workshop.poll(session_id)).record.digest_matches is matches
    assert (await workshop.poll(session_id, "A" * 64)).record.digest_matches is matches
