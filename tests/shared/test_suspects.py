"""A session whose check goes on for very long is ended while Face has no room, and no other one is."""

import asyncio
import json
import logging
from dataclasses import replace

import pytest

from collect_result.use_case import collect_result
from create_session.use_case import Created, create_session
from get_result.use_case import ResultQuery, get_result
from shared.access import Caller
from shared.app import App
from shared.errors import (
    SessionNotFound,
    StorageUnavailable,
    UpstreamFailure,
    UpstreamSessionGone,
    UpstreamThrottled,
)
from shared.events.publisher import MemoryPublisher
from shared.face.model import SessionResult, SessionStatus
from shared.queues.message import CollectMessage
from shared.queues.port import MemoryQueue
from shared.sessions.record import SessionRecord
from shared.suspects import LASTING_SECONDS, LONGEST_CHECK_MS, LOOK_AFTER_MS, MOST_KNOWN
from tests.collect_result.workshop import REAL, SPOOF, STARTED
from tests.support.app import app_of
from tests.support.commands import create_command
from tests.support.fake_face import FakeFace
from tests.support.intercepted import Call, Effect
from tests.support.store import FakeStore
from tests.support.time import FakeClock

NOT_STARTED = SessionResult(SessionStatus.NOT_STARTED)


class Region:
    """One instance, and a Face without room since long ago."""

    def __init__(self, store: FakeStore | None = None) -> None:
        self.face, self.clock = FakeFace(throttled_for=LASTING_SECONDS), FakeClock()
        self.app: App = app_of(store=store, face=self.face, clock=self.clock)

    async def create(self, device: str = "looping") -> Created:
        return await create_session(self.app, create_command(device))

    async def start(self, device: str = "looping", result: SessionResult = STARTED) -> Created:
        """Create a session and let its check go on; its own phone polls once."""
        session = await self.create(device)
        self.face.answer(session.session_id, result)
        await self.poll(session)
        return session

    async def poll(self, session: Created, digest: str | None = None) -> SessionStatus:
        """Ask for a result, and let the work behind the answer end."""
        query = ResultQuery(session.session_id, session.auth_token, Caller(), "a-request", digest)
        state = await get_result(self.app, query)
        await self.work_ends()
        return state.record.status

    async def examine(self) -> None:
        self.app.suspects.examine()
        await self.work_ends()

    async def work_ends(self) -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    async def record(self, session: Created) -> SessionRecord:
        return (await self.app.sessions.reload(session.session_id)).record

    async def collect(self) -> list[str]:
        """Work on the queue; return the types of the published events."""
        queue, publisher = self.app.queue, self.app.publisher
        assert isinstance(queue, MemoryQueue)
        assert isinstance(publisher, MemoryPublisher)
        while message := queue.take(600):
            await collect_result(self.app, CollectMessage.from_text(message.text))
            queue.finish(message)
        return [str(event["type"]) for event in publisher.events]


async def test_check_that_goes_on_is_ended_with_its_event_and_its_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The polls of another session are enough; the line names who made it."""
    region = Region()
    looping = await region.create()
    region.face.answer(looping.session_id, STARTED)
    other = await region.create("honest")
    region.clock.advance_ms(LOOK_AFTER_MS)
    await region.poll(other)
    assert region.face.deleted == []
    region.clock.advance_ms(LONGEST_CHECK_MS)
    with caplog.at_level(logging.WARNING):
        await region.poll(other)

    assert region.face.deleted == [looping.session_id]
    [line] = map(json.loads, caplog.messages)
    assert (line["event"], line["sessionId"]) == ("session_cut_off", looping.session_id)
    assert (line["device"], line["seconds"]) == ((await region.record(looping)).device, 180)
    assert await region.collect() == ["liveness.session.expired"]
    with pytest.raises(SessionNotFound):
        await region.poll(looping)
    assert await region.poll(other) is SessionStatus.NOT_STARTED


@pytest.mark.parametrize(
    ("age", "first", "goes_on", "throttled", "second"),
    [
        (LOOK_AFTER_MS - 1, STARTED, LONGEST_CHECK_MS, LASTING_SECONDS, STARTED),
        (LOOK_AFTER_MS, STARTED, LONGEST_CHECK_MS - 1, LASTING_SECONDS, STARTED),
        (LOOK_AFTER_MS, STARTED, LONGEST_CHECK_MS, LASTING_SECONDS - 1, STARTED),
        (LOOK_AFTER_MS, NOT_STARTED, LONGEST_CHECK_MS, LASTING_SECONDS, STARTED),
        (LOOK_AFTER_MS, STARTED, LONGEST_CHECK_MS, LASTING_SECONDS, REAL),
    ],
    ids=["young", "not for long", "Face had room", "began late", "done"],
)
async def test_no_other_check_is_ended(
    age: int, first: SessionResult, goes_on: int, throttled: float, second: SessionResult
) -> None:
    """Each condition counts. A person may begin late; a check that is done has its result."""
    region = Region()
    region.face.throttled_for = throttled
    session = await region.create()
    region.face.answer(session.session_id, first)
    other = await region.create("another")
    region.clock.advance_ms(age)
    await region.poll(other)
    region.face.answer(session.session_id, second)
    region.clock.advance_ms(goes_on)
    await region.poll(other)

    record = await region.record(session)
    assert (region.face.deleted, record.revoked) == ([], False)
    assert record.passed is (second is REAL)


async def test_failed_attempt_of_a_check_that_is_ended_is_charged() -> None:
    """Looping hides no failure: the session has its result, and its device is refused from the fifth on."""
    region = Region()
    attempt = replace(SPOOF, may_retry=True, decision=None)
    session = await region.start(result=attempt)
    region.clock.advance_ms(LONGEST_CHECK_MS)
    await region.poll(await region.create("another"))

    record = await region.record(session)
    assert record.revoked
    assert len(record.failed_at) == len(attempt.decisions) > 0
    assert await region.collect() == ["liveness.session.completed"]


async def test_looks_take_a_fifth_of_the_rate_and_a_session_that_cannot_be_read_comes_last() -> None:
    """One is read after five calls. The first error is that of a poll, and the second that of a look."""
    region = Region()
    unread, second, third = [await region.start(name) for name in ("unread", "second", "third")]
    region.clock.advance_ms(LONGEST_CHECK_MS)
    other = await region.create("other")
    read: list[list[str]] = []
    region.face.fail("result", UpstreamThrottled("full"), UpstreamThrottled("full"))
    for _ in range(8):
        await region.poll(other)
        read.append([*region.face.deleted])
        region.clock.advance_seconds(2.5)

    ends = [second.session_id, third.session_id, unread.session_id]
    assert read == [[], [], ends[:1], ends[:1], ends[:2], ends[:2], ends, ends]


async def test_idle_sessions_do_not_protect_one_that_goes_on() -> None:
    """Each has its turn, the one that was looked at longest ago first, whatever its phone sent."""
    region = Region()
    region.face.rate = 0.25
    names = [f"idle-{number}" for number in range(6)]
    *_, looping, other = [await region.create(name) for name in (*names, "looping", "other")]
    await region.poll(looping, "a-digest")
    region.face.answer(looping.session_id, STARTED)
    for _ in range(16):
        region.clock.advance_seconds(20)
        await region.poll(other)

    assert region.face.deleted == [looping.session_id]


@pytest.mark.parametrize("where", ["face", "store"])
async def test_session_that_cannot_be_read_does_not_stop_the_looks(where: str) -> None:
    """Such as one of a version that this release does not know, or a record that somebody changed."""
    store = FakeStore()
    region = Region(store)
    unreadable, looping = [await region.start(name) for name in ("unreadable", "looping")]
    other = await region.create("other")

    async def fail(call: Call, effect: Effect) -> object:
        if unreadable.session_id in call.keys:
            raise UpstreamFailure("unreadable") if where == "face" else StorageUnavailable("unreadable")
        return await effect()

    unreliable: FakeFace | FakeStore = region.face if where == "face" else store
    unreliable.around, region.face.rate = fail, 0.05
    for _ in range(5):
        region.clock.advance_seconds(100)
        await region.poll(other)

    assert region.face.deleted == [looping.session_id]


@pytest.mark.parametrize("late", [REAL, SPOOF, None], ids=["pass", "failure", "revoked"])
async def test_check_that_ends_during_a_look_is_not_cut_off(
    late: SessionResult | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Another instance wrote the result, or the phone revoked the session, while Face answered."""
    region = Region()
    session = await region.start()
    region.clock.advance_ms(LONGEST_CHECK_MS)
    sessions = region.app.sessions

    def end(record: SessionRecord) -> SessionRecord:
        now = region.clock() - 1
        return record.with_result(late, now) if late else record.as_revoked(now)

    async def meanwhile(call: Call, effect: Effect) -> object:
        region.face.around = None
        await sessions.change(await sessions.reload(session.session_id), end)
        return await effect()

    region.face.around = meanwhile
    await region.examine()

    record = await region.record(session)
    assert record == end(record)
    assert (record.revoked, region.face.deleted, caplog.messages) == (late is None, [], [])


async def test_session_that_face_does_not_know_keeps_no_place(caplog: pytest.LogCaptureFixture) -> None:
    """The next one is looked at then."""
    region = Region()
    gone, looping = [await region.start(name) for name in ("gone", "looping")]
    other = await region.create("other")
    region.clock.advance_ms(LONGEST_CHECK_MS)
    region.face.fail("result", UpstreamSessionGone())
    await region.examine()
    region.clock.advance_seconds(5)
    await region.poll(other)

    assert region.face.deleted == [looping.session_id]
    assert not (await region.record(gone)).revoked
    assert "late_work_failed" not in caplog.text


async def test_an_instance_knows_a_bounded_number_of_open_sessions() -> None:
    """The oldest are forgotten, and those that ended."""
    region = Region()
    record = await region.record(session := await region.create())
    for number in range(MOST_KNOWN):
        region.app.suspects.know(replace(record, session_id=f"session-{number}"))
    region.face.answer(session.session_id, STARTED)
    region.clock.advance_ms(LOOK_AFTER_MS)
    await region.examine()

    assert region.face.calls["result"] == 0
