"""Idempotency keys under crashes, lost answers, late writes and slow processes, in every order that is found."""

import asyncio
from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from create_session.use_case import CreateCommand, Created, create_session
from revoke_session.use_case import revoke_session
from shared.bootstrap import App, build
from shared.callers import Caller
from shared.errors import (
    DeviceThrottled,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    StorageUnavailable,
    UpstreamError,
)
from shared.face.model import LivenessMode, SessionSpec
from shared.idempotency import LEASE_MS
from shared.queues.memory import MemoryQueue
from shared.sessions.record import token_hash
from shared.settings import Settings
from shared.storage.port import Table
from tests.property.stage import ACTOR, Call, Instance, Stage
from tests.property.virtual_loop import VirtualLoop
from tests.property.watched_store import WatchedStore, leaks
from tests.support.broker import environment
from tests.support.clock import FakeClock
from tests.support.fake_face import FakeFace

KEYS = ("key-of-the-first-kind", "key-of-the-other-kind")
DEVICES = ("phone-of-anna", "phone-of-bert")
LIFETIMES = (600, 60)
TOKENS = "auth-token-"
"""How every token of the fake Face begins."""
SECRETS = (*KEYS, *DEVICES, TOKENS)

SETTINGS = Settings.from_mapping(
    environment("http://127.0.0.1:9", ID_PEPPER="pepper-of-the-tests", THROTTLE_DEVICE="6/10m")
)
EXPECTED = (
    DeviceThrottled,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    StorageUnavailable,
    UpstreamError,
)

INDEX = st.integers(0, 7)
PLACE = st.integers(0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A create under way."""

    command: CreateCommand
    instance: Instance
    task: asyncio.Task[Created]


class IdempotencyMachine(RuleBasedStateMachine):
    """Requests with idempotency keys on two instances over one store, and one Face.

    A session is live while its token would be taken: the `expiresAt` that was disclosed with it has not come, and
    Face has not deleted it. What holds, whatever crashes, fails, comes late or is slow for however long:

    - Of all sessions that were ever disclosed under one key, at most one is live at any time. (A session that was
      made and never disclosed may live beside it until its token ends: nobody has the token.)
    - What is disclosed is a session of the very request, has a record that its token opens, and stays so, and stays
      at Face, until its phone revokes it; it is disclosed in the same words each time.
    - A key that was claimed and not answered is blocked for at most `LEASE_MS` from the claim: the next request
      after that is not told to wait.
    - No row of any table ever holds a token, an idempotency key or a device id.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.clock = FakeClock()
        self.store = WatchedStore(SECRETS)
        self.face = FakeFace()
        self.queue = MemoryQueue(self.clock)
        self.stage = Stage()
        self.instances: list[tuple[Instance, App]] = [self.new_instance(), self.new_instance()]
        self.requests: list[Request] = []
        self.numbers = 0
        self.claimed_at: dict[str, int] = {}
        self.disclosed: dict[str, dict[str, Created]] = {key: {} for key in KEYS}
        self.revoked: set[str] = set()

    def teardown(self) -> None:
        for instance, _ in self.instances:
            instance.alive = False
        self.loop.close()

    def new_instance(self) -> tuple[Instance, App]:
        instance = Instance(self.stage, self.store, self.face, self.queue)
        app = build(
            SETTINGS, clock=self.clock, face=instance.face, store=instance.store, queue=instance.queue
        )
        return instance, app

    def undisturbed_app(self) -> App:
        return build(SETTINGS, clock=self.clock, face=self.face, store=self.store, queue=self.queue)

    def settle(self) -> None:
        self.loop.settle()
        for request in [request for request in self.requests if request.task.done()]:
            self.requests.remove(request)
            self.judge(request)

    def judge(self, request: Request) -> None:
        if request.task.cancelled():
            return
        error = request.task.exception()
        if error is None:
            self.note(request.command, request.task.result())
        elif not isinstance(error, EXPECTED):
            raise error

    def note(self, command: CreateCommand, created: Created) -> None:
        spec = self.face.specs[created.session_id]
        assert spec == command.spec, "disclosed a session of another request"
        before = self.disclosed[command.idempotency_key or ""].setdefault(created.session_id, created)
        assert before == created, "disclosed one session in two ways"

    def command(self, key: int, device: int, lifetime: int) -> CreateCommand:
        spec = SessionSpec(LivenessMode.PASSIVE, DEVICES[device], LIFETIMES[lifetime])
        return CreateCommand(
            spec, DEVICES[device], None, Caller(), KEYS[key], f"{device} {lifetime}", "a-request"
        )

    def send(self, command: CreateCommand, place: int) -> None:
        instance, app = self.instances[place]
        self.claimed_at[command.idempotency_key or ""] = self.clock()
        self.numbers += 1
        self.requests.append(
            Request(command, instance, self.loop.start(self.numbered(self.numbers, app, command)))
        )
        self.settle()

    @staticmethod
    async def numbered(number: int, app: App, command: CreateCommand) -> Created:
        ACTOR.set(number)
        return await create_session(app, command)

    @precondition(lambda self: len(self.requests) < 4)
    @rule(place=PLACE)
    def a_request_comes(self, place: int) -> None:
        self.send(self.command(0, 0, 0), place)

    @precondition(lambda self: len(self.requests) < 4)
    @rule(key=st.integers(0, 1), device=st.integers(0, 1), lifetime=st.integers(0, 1), place=PLACE)
    def another_request_comes(self, key: int, device: int, lifetime: int, place: int) -> None:
        self.send(self.command(key, device, lifetime), place)

    @precondition(lambda self: len(self.requests) < 3)
    @rule()
    def a_concurrent_pair_comes(self) -> None:
        for place in (0, 1):
            self.send(self.command(0, 0, 0), place)

    @precondition(lambda self: self.stage.calls)
    @rule(index=INDEX)
    def a_call_goes_on(self, index: int) -> None:
        self.stage.go_on(self.call(index))
        self.settle()

    @precondition(lambda self: self.stage.calls)
    @rule(index=INDEX, turns=st.integers(1, 16))
    def a_request_goes_on(self, index: int, turns: int) -> None:
        actor = self.call(index).actor
        for _ in range(turns):
            if call := next((call for call in self.stage.calls if call.actor == actor), None):
                self.stage.go_on(call)
                self.settle()

    @precondition(lambda self: self.stage.calls)
    @rule()
    def everything_goes_on(self) -> None:
        while self.stage.calls:
            for call in list(self.stage.calls):
                self.stage.go_on(call)
            self.settle()

    @precondition(lambda self: self.stage.calls)
    @rule(index=INDEX, late=st.booleans())
    def a_call_fails(self, index: int, late: bool) -> None:
        self.stage.fail(self.call(index), late=late)
        self.settle()

    @precondition(lambda self: self.stage.late)
    @rule(index=INDEX)
    def a_late_effect_arrives(self, index: int) -> None:
        late = self.stage.late
        self.loop.run(self.stage.arrive(late[index % len(late)]))

    @precondition(lambda self: self.stage.calls)
    @rule(trouble=st.sampled_from(["crash", "outage", "hang up"]), place=PLACE, late=st.booleans())
    def trouble_comes(self, trouble: str, place: int, late: bool) -> None:
        if trouble == "crash":
            self.crash(place, late)
        elif trouble == "outage":
            for call in self.stage.calls:
                self.stage.fail(call, late=late)
        else:
            self.requests[place % len(self.requests)].task.cancel()
        self.settle()

    def crash(self, place: int, late: bool) -> None:
        instance, _ = self.instances[place]
        self.stage.crash(instance, late=late)
        for request in self.requests:
            if request.instance is instance:
                request.task.cancel()
        self.instances[place] = self.new_instance()

    @rule(seconds=st.sampled_from([1, LEASE_MS // 1000 - 1, LEASE_MS // 1000, 60, 600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: any(self.disclosed.values()))
    @rule(key=st.integers(0, 1), index=INDEX)
    def a_phone_revokes_its_session(self, key: int, index: int) -> None:
        if sessions := list(self.disclosed[KEYS[key]].values()):
            session = sessions[index % len(sessions)]
            self.loop.run(
                revoke_session(
                    self.undisturbed_app(), session.session_id, session.auth_token, Caller(), "a-request"
                )
            )
            self.revoked.add(session.session_id)

    @precondition(lambda self: self.claimed_at)
    @rule(key=st.integers(0, 1), device=st.integers(0, 1))
    def nobody_waits_after_the_lease(self, key: int, device: int) -> None:
        if self.clock() - self.claimed_at.get(KEYS[key], 0) < LEASE_MS:
            return
        command = self.command(key, device, 0)
        self.claimed_at[KEYS[key]] = self.clock()
        try:
            created = self.loop.run(create_session(self.undisturbed_app(), command))
        except (DeviceThrottled, IdempotencyKeyReused):
            return
        self.note(command, created)

    def call(self, index: int) -> Call:
        return self.stage.calls[index % len(self.stage.calls)]

    @invariant()
    def at_most_one_disclosed_session_of_a_key_is_live(self) -> None:
        for sessions in self.disclosed.values():
            assert sum(self.is_live(session) for session in sessions.values()) <= 1

    @invariant()
    def disclosed_sessions_stay_until_they_are_revoked(self) -> None:
        for session in (session for sessions in self.disclosed.values() for session in sessions.values()):
            record = self.store.versions[Table.SESSIONS, session.session_id][-1]
            assert self.store.has(Table.SESSIONS, session.session_id)
            assert record["token_hash"] == token_hash(session.auth_token)
            assert record["token_expires_at"] == session.expires_at
            assert record["revoked"] == (session.session_id in self.revoked)
            assert (session.session_id in self.face.deleted) == (session.session_id in self.revoked)
            assert any(session.session_id in message.text for message in self.queue.messages)

    @invariant()
    def nothing_secret_was_ever_written(self) -> None:
        assert self.store.leaks == []
        assert leaks(SECRETS, [message.text for message in self.queue.messages]) == []

    def is_live(self, session: Created) -> bool:
        return session.expires_at > self.clock() and session.session_id not in self.face.deleted


TestIdempotencyMachine = IdempotencyMachine.TestCase
TestIdempotencyMachine.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
