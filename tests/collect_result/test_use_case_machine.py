"""Sessions end with one event, whatever the collector meets: doubles, disorder, crashes, outages and late writes."""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from collect_result.delays import FORGOTTEN
from collect_result.use_case import collect_result
from create_session.use_case import CreateCommand, Created, create_session
from get_result.use_case import ResultQuery, get_result
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.errors import SessionNotFound, StorageUnavailable, UpstreamError
from shared.events.cloud_event import event_of
from shared.face.model import LivenessMode, SessionResult, SessionSpec, SessionStatus
from shared.queues.memory import QueuedMessage
from shared.queues.message import CollectMessage
from shared.sessions.record import SessionRecord
from shared.storage.port import Table
from shared.throttle.policy import failure_stamp
from shared.throttle.rows import decode
from tests.collect_result.workshop import MASKED, MASKED_AFTER_SPOOF, REAL, SPOOF, STARTED
from tests.create_session.world import Request, World
from tests.support.form import FORM
from tests.support.staged_machine import INDEX, PLACE, StagedMachine

HOUR = 3_600
LEASE_SECONDS = 600
"""How long the host hides a message that it has handed to a function."""
RETRY_SECONDS = 300
"""host.json's `visibilityTimeout`: when a message whose function raised shows again."""

DEVICE = "phone-of-anna"
FINAL = (SessionStatus.RESULT_AVAILABLE.value, SessionStatus.EXPIRED.value)
OUTCOME = ("status", "decision", "digest", "attempts", "failure_code", "failure_message", "completed_at")


@dataclass(slots=True)
class Session:
    """A session that a phone was given, and all that Face ever showed of it."""

    created: Created
    created_at: int
    shown: list[SessionResult] = field(default_factory=list)


class CollectMachine(StagedMachine):
    """Two instances that take messages from one queue, phones that come and go between, and a Face that forgets.

    What holds, whatever crashes, fails, comes late, twice, too early or in another order:

    - While a session is open there is a message that leads to its end.
    - Its outcome is written once and never changes, and is one that Face showed, or that there was none.
    - In the end it has its event: at least once, under one id, with one content, whatever digests its phone sends.
      One that was revoked without a check has none.
    - In the end it is deleted upstream, or Face has forgotten it, and no message is left.
    - Each attempt that decided anything but `realface` counts once.
    """

    required = "false"

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            (DEVICE,), THROTTLE_DEVICE="off", THROTTLE_FAILURES="50/31d", REQUIRE_DIGEST=self.required
        )
        self.sessions: list[Session] = []
        self.delivered: dict[Request, QueuedMessage] = {}

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
        command = CreateCommand(
            SessionSpec(LivenessMode.PASSIVE, DEVICE, lifetime), DEVICE, None, Caller(), None, "", "a-request"
        )
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
        created = self.session(index).created
        query = ResultQuery(created.session_id, created.auth_token, Caller(), "a-request", digest)
        self.world.send(place, lambda app: get_result(app, query))

    @precondition(lambda self: self.sessions and len(self.world.requests) < 4)
    @rule(index=INDEX, place=PLACE)
    def a_phone_revokes(self, index: int, place: int) -> None:
        created = self.session(index).created
        self.world.send(
            place,
            lambda app: revoke_session(app, created.session_id, created.auth_token, Caller(), "a-request"),
        )

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

        Where both have read a result, and not the same, whoever comes first writes the outcome.
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
            elif not isinstance(error, SessionNotFound | StorageUnavailable | UpstreamError | None):
                raise error

    @invariant()
    def no_message_is_lost_while_a_session_is_open(self) -> None:
        texts = [message.text for message in self.world.queue.messages]
        for session in self.sessions:
            session_id = session.created.session_id
            assert not self.is_open(session) or any(session_id in text for text in texts)

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
        assert self.is_gone(session)
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
        versions = self.world.store.versions[Table.SESSIONS, session.created.session_id]
        return {
            tuple(version.get(name) for name in OUTCOME) for version in versions if version["status"] in FINAL
        }

    def is_open(self, session: Session) -> bool:
        row = self.world.store.now(Table.SESSIONS, session.created.session_id)
        assert row is not None
        told = "published_at" in row if row["status"] in FINAL else row["revoked"]
        return not told or not (row["deleted_upstream"] or self.is_forgotten(session))

    def is_gone(self, session: Session) -> bool:
        return session.created.session_id in self.world.face.deleted or self.is_forgotten(session)

    def is_forgotten(self, session: Session) -> bool:
        return self.world.clock() >= session.created_at + FORGOTTEN * 1000


class CollectMachineWithDigests(CollectMachine):
    """The same where a digest is required: the event waits for it until the token's end."""

    required = "true"


TestCollectMachine = CollectMachine.TestCase
TestCollectMachineWithDigests = CollectMachineWithDigests.TestCase
TestCollectMachine.settings = TestCollectMachineWithDigests.settings = FORM
