"""Idempotency keys under crashes, lost answers, late writes and slow processes, in every order that is found."""

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from create_session.use_case import CreateCommand, Created, create_session
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.errors import (
    ClientThrottled,
    DeviceThrottled,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    StorageUnavailable,
    UpstreamError,
)
from shared.idempotency import LEASE_MS
from shared.sessions.record import token_hash
from shared.storage.port import Table
from tests.support.broker import PEPPER
from tests.support.commands import create_command
from tests.support.form import FORM
from tests.support.staged_machine import INDEX, PLACE, StagedMachine
from tests.support.watched_store import leaks
from tests.support.world import TOKENS, Request, World

KEYS = ("key-of-the-first-kind", "key-of-the-other-kind")
DEVICES = ("phone-of-anna", "phone-of-bert")
LIFETIMES = (600, 60)

EXPECTED = (
    ClientThrottled,
    DeviceThrottled,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    StorageUnavailable,
    UpstreamError,
)

EITHER = st.integers(0, 1)


def command_of(key: int = 0, device: int = 0, lifetime: int = 0) -> CreateCommand:
    """Make a command; the key is not part of what makes it this one and no other."""
    return create_command(
        DEVICES[device], key=KEYS[key], lifetime=LIFETIMES[lifetime], fingerprint=f"{device} {lifetime}"
    )


class IdempotencyMachine(StagedMachine):
    """Requests with idempotency keys on two instances over one store and queue, and one Face.

    A session is live while its token would be taken: the `expiresAt` that was disclosed with it has not come, and
    Face has not deleted it. What holds, whatever crashes, fails, comes late, or is slow for however long:

    - Of all sessions that were ever disclosed under one key, at most one is live at any time. (One that was made
      and never disclosed may live beside it until its token ends: nobody has that token.)
    - What is disclosed is a session of the very request, in the same words each time. It has a record that its
      token opens, and a message that ends in its event; it keeps these and stays at Face until its phone revokes it.
    - A key that was claimed and not answered is blocked for at most `LEASE_MS` from the claim: the next request
      after that is not told to wait.
    - No row of any table and no message ever holds a token, an idempotency key or a device id.
    """

    world: World
    peppers = (PEPPER, PEPPER)

    def __init__(self) -> None:
        super().__init__()
        self.world = World((*KEYS, *DEVICES), self.peppers, THROTTLE_DEVICE="6/10m")
        self.creates: dict[Request, CreateCommand] = {}
        self.claimed_at: dict[str, int] = {}
        self.disclosed: dict[str, dict[str, Created]] = {key: {} for key in KEYS}
        self.revoked: set[str] = set()

    def send(self, command: CreateCommand, place: int) -> None:
        self.claimed_at[command.idempotency_key or ""] = self.world.clock()
        request = self.world.send(place, lambda app: create_session(app, command))
        self.creates[request] = command

    def note(self, command: CreateCommand, created: Created) -> None:
        spec = self.world.face.specs[created.session_id]
        assert spec == command.spec, "disclosed a session of another request"
        before = self.disclosed[command.idempotency_key or ""].setdefault(created.session_id, created)
        assert before == created, "disclosed one session in two ways"

    @precondition(lambda self: len(self.creates) < 4)
    @rule(place=PLACE)
    def a_request_comes(self, place: int) -> None:
        self.send(command_of(), place)

    @precondition(lambda self: len(self.creates) < 4)
    @rule(key=EITHER, device=EITHER, lifetime=EITHER, place=PLACE)
    def another_request_comes(self, key: int, device: int, lifetime: int, place: int) -> None:
        self.send(command_of(key, device, lifetime), place)

    @precondition(lambda self: len(self.creates) < 3)
    @rule()
    def a_concurrent_pair_comes(self) -> None:
        for place in (0, 1):
            self.send(command_of(), place)

    @rule(seconds=st.sampled_from([1, LEASE_MS // 1000 - 1, LEASE_MS // 1000, 60, 600]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance_seconds(seconds)

    @precondition(lambda self: any(self.disclosed.values()))
    @rule(key=EITHER, index=INDEX)
    def a_phone_revokes_its_session(self, key: int, index: int) -> None:
        if sessions := list(self.disclosed[KEYS[key]].values()):
            session = sessions[index % len(sessions)]
            app = self.world.undisturbed()
            self.world.run(revoke_session(app, session.session_id, session.auth_token, Caller(), "a-request"))
            self.revoked.add(session.session_id)

    @precondition(lambda self: self.claimed_at)
    @rule(key=EITHER, device=EITHER)
    def nobody_is_told_to_wait_after_the_lease(self, key: int, device: int) -> None:
        if self.world.clock() - self.claimed_at.get(KEYS[key], 0) < LEASE_MS:
            return
        command = command_of(key, device)
        self.claimed_at[KEYS[key]] = self.world.clock()
        try:
            created = self.world.run(create_session(self.world.undisturbed(), command))
        except (DeviceThrottled, IdempotencyKeyReused):
            return
        self.note(command, created)

    @invariant()
    def requests_end_as_they_may(self) -> None:
        for request in self.world.ended():
            command = self.creates.pop(request)
            if request.task.cancelled():
                continue
            error = request.task.exception()
            if error is None:
                self.note(command, request.task.result())
            elif not isinstance(error, EXPECTED):
                raise error

    @invariant()
    def at_most_one_disclosed_session_of_a_key_is_live(self) -> None:
        for sessions in self.disclosed.values():
            assert sum(self.is_live(session) for session in sessions.values()) <= 1

    @invariant()
    def disclosed_sessions_stay_until_they_are_revoked(self) -> None:
        for session in [session for sessions in self.disclosed.values() for session in sessions.values()]:
            record = self.world.store.now(Table.SESSIONS, session.session_id)
            assert record is not None
            assert record["token_hash"] == token_hash(session.auth_token)
            assert record["token_expires_at"] == session.expires_at
            assert record["revoked"] == (session.session_id in self.revoked)
            assert (session.session_id in self.world.face.deleted) == (session.session_id in self.revoked)
            assert any(session.session_id in message.text for message in self.world.queue.messages)

    @invariant()
    def nothing_secret_was_ever_written(self) -> None:
        assert self.world.store.leaks == []
        texts = [message.text for message in self.world.queue.messages]
        assert leaks((*KEYS, *DEVICES, TOKENS), texts) == []

    def is_live(self, session: Created) -> bool:
        expired = session.expires_at <= self.world.clock()
        return not expired and session.session_id not in self.world.face.deleted


class RotationMachine(IdempotencyMachine):
    """The same while the pepper is rotated: one instance knows already that the new pepper is the first."""

    peppers = (f"{PEPPER},new", f"new,{PEPPER}")


TestIdempotencyMachine = IdempotencyMachine.TestCase
TestIdempotencyMachine.settings = FORM
TestRotationMachine = RotationMachine.TestCase
TestRotationMachine.settings = FORM
