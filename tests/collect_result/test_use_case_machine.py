"""Sessions end with one event, whatever the collector meets: doubles, disorder, crashes, outages and late writes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from collect_result.delays import FORGOTTEN
from collect_result.use_case import collect_result
from create_session.use_case import Created, create_session
from get_result.use_case import ResultQuery, get_result
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.errors import SessionNotFound, StorageUnavailable, UpstreamError
from shared.events.cloud_event import event_of
from shared.face.model import SessionResult, SessionStatus
from shared.queues.message import CollectMessage
from shared.queues.port import QueuedMessage
from shared.sessions.record import SessionRecord
from shared.storage.port import Table, Value
from shared.throttle.policy import failure_stamp
from shared.throttle.rows import decode
from tests.collect_result.workshop import MASKED, MASKED_AFTER_SPOOF, REAL, SPOOF, STARTED
from tests.support.commands import create_command
from tests.support.form import FORM
from tests.support.staged_machine import INDEX, PLACE, StagedMachine
from tests.support.world import Request, World

HOUR = 3_600
LEASE_SECONDS = 600
"""How long the host hides a message that it has handed to a function."""
RETRY_SECONDS = 300
"""host.json's `visibilityTimeout`: when a message whose function raised shows again."""

DEVICE = "phone-of-anna"
FINAL = (SessionStatus.RESULT_AVAILABLE.value, SessionStatus.EXPIRED.value)
FOR_GOOD = ("token_hash", "device", "created_at", "token_expires_at", "published_at", "digest_matches")
OUTCOME = (
    "status",
    "decision",
    "digest",
    "attempts",
    "failure_code",
    "failure_message",
    "completed_at",
    "upstream_request_id",
)
Row = Mapping[str, Value]
MARKED_BY: Mapping[str, Callable[[Row], bool]] = {
    "completed": lambda row: row["status"] == SessionStatus.RESULT_AVAILABLE,
    "expired": lambda row: row["status"] == SessionStatus.EXPIRED,
    "revoked": lambda row: row["revoked"] is True,
    "published": lambda row: "published_at" in row,
    "deletedUpstream": lambda row: row["deleted_upstream"] is True,
}


@dataclass(slots=True)
class Session:
    """A session of a phone, and all that Face ever showed of it; `judged` versions of its record were right."""

    created: Created
    created_at: int
    shown: list[SessionResult] = field(default_factory=list)
    judged: int = 0


class CollectMachine(StagedMachine):
    """Two instances that take messages from one queue, phones that come and go between, and a Face that forgets.

    What holds, whatever crashes, fails, comes late, twice, too early or in another order:

    - While a session is open there is a message that leads to its end.
    - Its outcome is written once and never changes, and is one that Face showed, or that there was none.
    - In the end it has its event: at least once, under one id, with one content, whatever digests its phone sends.
      One that was revoked without a check has none.
    - A poll is answered with what the record held at some time while it was under way, and not with `revoked`.
    - History only grows; each step is there once, and is there exactly where the record says the same.
    - In the end it is deleted upstream, or Face has forgotten it, and no message is left. A session with a result may
      stay at Face where the operator wants that.
    - Each attempt that decided anything but `realface` counts once.
    """

    world: World

    @initialize(
        result=st.sampled_from(["1/s", "off"]),
        delete=st.sampled_from(["true", "false"]),
        digest=st.sampled_from(["true", "false"]),
    )
    def a_broker_is_started(self, result: str, delete: str, digest: str) -> None:
        self.world = World(
            (DEVICE,),
            THROTTLE_DEVICE="off",
            THROTTLE_FAILURES="50/31d",
            THROTTLE_RESULT=result,
            DELETE_AFTER_RESULT=delete,
            REQUIRE_DIGEST=digest,
        )
        self.deletes = delete == "true"
        self.sessions: list[Session] = []
        self.delivered: dict[Request, QueuedMessage] = {}
        self.polls: dict[Request, tuple[Session, int]] = {}
        self.revocations: dict[Request, Session] = {}

    def teardown(self) -> None:
        try:
            self.everything_comes_to_its_end()
        finally:
            super().teardown()

    def session(self, index: int) -> Session:
        return self.sessions[index % len(self.sessions)]

    @precondition(lambda self: len(self.sessions) < 3)
    @rule(lifetime=st.sampled_from([60, 600]))
    def a_phone_creates_a_session(self, lifetime: int) -> None:
        command = create_command(DEVICE, lifetime=lifetime)
        created = self.world.run(create_session(self.world.undisturbed(), command))
        self.sessions.append(Session(created, self.world.clock()))

    @precondition(lambda self: self.sessions)
    @rule(index=INDEX, result=st.sampled_from([STARTED, REAL, SPOOF, MASKED, MASKED_AFTER_SPOOF]))
    def a_phone_goes_on(self, index: int, result: SessionResult) -> None:
        session = self.session(index)
        ended = any(
            shown.status is SessionStatus.RESULT_AVAILABLE and not shown.may_retry for shown in session.shown
        )
        if not self.is_gone(session) and not (ended and result is STARTED):
            self.world.face.answer(session.created.session_id, result)
            session.shown.append(result)

    @precondition(lambda self: self.sessions and len(self.world.requests) < 4)
    @rule(index=INDEX, place=PLACE, digest=st.sampled_from([None, "A" * 64, "0" * 64]))
    def a_phone_polls(self, index: int, place: int, digest: str | None = None) -> None:
        session = self.session(index)
        created, held = session.created, len(self.versions(session)) - 1
        query = ResultQuery(created.session_id, created.auth_token, Caller(), "a-request", digest)
        self.polls[self.world.send(place, lambda app: get_result(app, query))] = session, held

    @precondition(lambda self: self.sessions and len(self.world.requests) < 4)
    @rule(index=INDEX, place=PLACE)
    def a_phone_revokes(self, index: int, place: int) -> None:
        session = self.session(index)
        created = session.created
        request = self.world.send(
            place,
            lambda app: revoke_session(app, created.session_id, created.auth_token, Caller(), "a-request"),
        )
        self.revocations[request] = session

    @precondition(lambda self: self.world.queue.messages and len(self.world.requests) < 4)
    @rule(place=PLACE)
    def a_message_is_delivered(self, place: int) -> None:
        queue = self.world.queue
        self.advance_to(min(message.visible_at for message in queue.messages))
        message = queue.take(LEASE_SECONDS)
        assert message is not None
        self.deliver(message, place)

    @precondition(lambda self: self.world.queue.messages and len(self.world.requests) < 4)
    @rule(index=INDEX, place=PLACE)
    def a_message_is_delivered_too_early_or_twice(self, index: int, place: int) -> None:
        messages = self.world.queue.messages
        self.deliver(messages[index % len(messages)], place)

    @precondition(lambda self: self.world.queue.messages and len(self.world.requests) < 4)
    @rule(place=PLACE, turns=st.integers(0, 16), crash=st.booleans(), late=st.booleans())
    def a_collector_meets_trouble(self, place: int, turns: int, crash: bool, late: bool) -> None:
        """Each call of a run is two turns: one may end before its effect, and before its answer."""
        self.a_message_is_delivered(place)
        call = self.calls[-1]
        self.world.follow(call, turns)
        if not (following := [one for one in self.calls if one.actor == call.actor]):
            return
        if crash:
            self.world.crash(place, late=late)
        else:
            self.world.fail(*following, late=late)

    @precondition(lambda self: self.world.queue.messages and len(self.world.requests) < 3)
    @rule(
        index=INDEX,
        turns=st.integers(1, 12) | st.just(4),  # After 4 turns it has Face's answer, and has written nothing.
        rival=st.sampled_from(["collector", "poll", "revocation"]),
        first=st.sampled_from([REAL, SPOOF, MASKED, MASKED_AFTER_SPOOF, None]),
        then=st.sampled_from([SPOOF, MASKED, REAL, None]),
    )
    def a_rival_overtakes_a_collector(
        self, index: int, turns: int, rival: str, first: SessionResult | None, then: SessionResult | None
    ) -> None:
        """One stops somewhere on its way, the other goes all of it, perhaps with other news from Face.

        Where they have read different results, the first one to write decides the outcome.
        """
        messages = self.world.queue.messages
        message = messages[index % len(messages)]
        position = self.position_of(message)
        if first:
            self.a_phone_goes_on(position, first)
        self.deliver(message, 0)
        overtaken = self.calls[-1]
        self.world.follow(overtaken, turns)
        if then:
            self.a_phone_goes_on(position, then)
        self.time_passes(1)
        if rival == "collector":
            self.deliver(message, 1)
        else:
            (self.a_phone_polls if rival == "poll" else self.a_phone_revokes)(position, 1)
        self.world.follow(self.calls[-1], 40)
        self.world.follow(overtaken, 40)

    @precondition(lambda self: self.calls)
    @rule(name=st.sampled_from(["result", "replace sessions", "publish"]))
    def all_meet_before(self, name: str) -> None:
        self.world.meet(name)

    @rule(seconds=st.sampled_from([1, RETRY_SECONDS, LEASE_SECONDS, HOUR, 12 * HOUR]))
    def time_passes(self, seconds: int) -> None:
        self.advance_to(self.world.clock() + seconds * 1000)

    @invariant()
    def requests_end_as_they_may(self) -> None:
        for request in self.world.ended():
            message = self.delivered.pop(request, None)
            if request.task.cancelled():
                continue
            error = request.task.exception()
            if message is not None:
                self.settle(message, error)
            elif error is None:
                self.judge(request)
            elif isinstance(error, SessionNotFound):
                assert request in self.revocations or self.row(self.polls[request][0])["revoked"]
            elif not isinstance(error, StorageUnavailable | UpstreamError):
                raise error

    @invariant()
    def no_message_is_lost_while_a_session_is_open(self) -> None:
        texts = [message.text for message in self.world.queue.messages]
        for session in self.sessions:
            session_id = session.created.session_id
            assert not self.is_open(session) or any(session_id in text for text in texts)

    @invariant()
    def no_device_or_token_was_ever_written(self) -> None:
        assert self.world.store.leaks == []

    @invariant()
    def each_record_only_moves_on(self) -> None:
        for session in self.sessions:
            versions = self.versions(session)[session.judged :]
            session.judged += len(versions) - 1
            for row in versions:
                steps = [step for _, step in history(row)]
                assert len(set(steps)) == len(steps)
                marked = {step for step, holds in MARKED_BY.items() if holds(row)}
                assert marked == set(steps) & MARKED_BY.keys()
            for before, after in pairwise(versions):
                assert history(after)[: len(history(before))] == history(before)
                assert all(before[name] == after[name] for name in FOR_GOOD if name in before)
                assert after["revoked"] or not before["revoked"]
                if before["status"] in FINAL:
                    assert [before.get(name) for name in OUTCOME] == [after.get(name) for name in OUTCOME]
                elif before["revoked"]:
                    assert after["status"] != SessionStatus.EXPIRED

    def judge(self, request: Request) -> None:
        """Compare what a phone was told with what the record held since it asked, and before it was revoked."""
        if request in self.revocations:
            assert self.row(self.revocations.pop(request))["revoked"], "a revocation was lost"
            return
        session, held = self.polls.pop(request)
        told: SessionRecord = request.task.result().record
        since = [row for row in self.versions(session)[held:] if not row["revoked"]]
        assert any(shows(row, told) for row in since), "told what the record did not hold"

    def deliver(self, message: QueuedMessage, place: int) -> None:
        content = CollectMessage.from_text(message.text)
        request = self.world.send(place, lambda app: collect_result(app, content))
        self.delivered[request] = message

    def position_of(self, message: QueuedMessage) -> int:
        session_id = CollectMessage.from_text(message.text).session_id
        return [session.created.session_id for session in self.sessions].index(session_id)

    def settle(self, message: QueuedMessage, error: BaseException | None) -> None:
        """Do what the host does with a message after its function has ended."""
        queue = self.world.queue
        if not any(message is waiting for waiting in queue.messages):
            return
        if error is None:
            queue.finish(message)
        elif isinstance(error, StorageUnavailable):
            message.visible_at = self.world.clock() + RETRY_SECONDS * 1000
        else:
            raise error

    def advance_to(self, time: int) -> None:
        self.world.clock.now = max(self.world.clock.now, time)
        for session in self.sessions:
            if self.is_forgotten(session):
                self.world.face.forget(session.created.session_id)

    def everything_comes_to_its_end(self) -> None:
        self.world.finish()
        while self.world.stage.late:
            self.world.arrive(0)
        self.requests_end_as_they_may()
        app, queue = self.world.undisturbed(), self.world.queue
        for _ in range(200):
            if not queue.messages:
                break
            self.advance_to(min(message.visible_at for message in queue.messages))
            message = queue.take(LEASE_SECONDS)
            assert message is not None
            self.world.run(collect_result(app, CollectMessage.from_text(message.text)))
            queue.finish(message)
        assert queue.messages == []
        for session in self.sessions:
            self.require_end(session)
        self.require_failures_counted_once()

    def require_end(self, session: Session) -> None:
        record = self.record(session)
        events = [event for event in self.world.publisher.events if event["subject"] == record.session_id]
        assert record.final or record.revoked
        assert bool(events) == record.final == (record.published_at is not None)
        assert all(event == event_of(record) for event in events)
        assert self.is_gone(session) or (record.final and not self.deletes)
        assert len(self.outcomes(session)) == (1 if record.final else 0)
        if record.status is SessionStatus.RESULT_AVAILABLE:
            assert any(
                (shown.decision, shown.digest, shown.failure)
                == (record.decision, record.digest, record.failure)
                for shown in session.shown
            )

    def require_failures_counted_once(self) -> None:
        records = [self.record(session) for session in self.sessions]
        failed = {
            failure_stamp(at, record.device, record.session_id)
            for record in records
            for at in record.failed_at
        }
        rows = [self.world.store.now(Table.THROTTLE, f"device-{record.device}") for record in records]
        logged = [decode(row["failed"]) for row in rows if row and "failed" in row]
        assert sorted(logged[0] if logged else ()) == sorted(failed)

    def record(self, session: Session) -> SessionRecord:
        stored = self.world.run(self.world.undisturbed().sessions.get(session.created.session_id))
        assert stored is not None
        return stored.record

    def outcomes(self, session: Session) -> set[tuple[object, ...]]:
        """All outcomes that were ever written for a session."""
        return {
            tuple(version.get(name) for name in OUTCOME)
            for version in self.versions(session)
            if version["status"] in FINAL
        }

    def versions(self, session: Session) -> list[Row]:
        """What the record held, oldest first."""
        return self.world.store.versions[Table.SESSIONS, session.created.session_id]

    def row(self, session: Session) -> Row:
        """What the record holds."""
        return self.versions(session)[-1]

    def is_open(self, session: Session) -> bool:
        row = self.row(session)
        told = "published_at" in row if row["status"] in FINAL else row["revoked"]
        kept = row["status"] in FINAL and not self.deletes
        return not told or not (kept or row["deleted_upstream"] or self.is_forgotten(session))

    def is_gone(self, session: Session) -> bool:
        return session.created.session_id in self.world.face.deleted or self.is_forgotten(session)

    def is_forgotten(self, session: Session) -> bool:
        return self.world.clock() >= session.created_at + FORGOTTEN * 1000


def history(row: Row) -> list[tuple[int, str]]:
    """The steps of a record, with their times."""
    return [(at, step) for at, step in json.loads(str(row["history"]))]


def shows(row: Row, record: SessionRecord) -> bool:
    """Whether this is what the record held."""
    outcome = (record.status, record.decision, record.digest, record.attempts, record.completed_at)
    told = tuple(row.get(name) for name in ("status", "decision", "digest", "attempts", "completed_at"))
    return told == outcome and history(row) == list(record.history)


TestCollectMachine = CollectMachine.TestCase
TestCollectMachine.settings = FORM
