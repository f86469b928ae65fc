"""A rotation of the pepper from its begin to its end, with phones that notice nothing, in every order that is found."""

from collections import defaultdict
from dataclasses import replace
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from create_session.use_case import CreateCommand
from shared.access import Caller
from shared.errors import ClientThrottled, SessionNotFound, Throttled
from shared.throttle.policy import Policy
from tests.support.form import FORM
from tests.support.rotating import (
    ANNA,
    BERT,
    HERE,
    ISSUER,
    SHOP,
    STEPS,
    Given,
    Rotation,
    command_of,
    give,
    read,
)
from tests.support.time import VirtualLoop

LIMITS: Final = {
    "DEVICE": "2/20m",
    "PRINCIPAL": "3/30m",
    "REFERENCE": "2/h",
    "CLIENT": "4/20m",
    "FAILURES": "2/2h",
    "MISSES": "2/30m",
}
RETENTION_DAYS: Final = 2

PLACE = st.integers(0, 1)
INDEX = st.integers(0, 7)
WHO = st.sampled_from([(ANNA, None), (ANNA, None), (BERT, None), (SHOP, "carl"), (SHOP, "dora")])


class RotationMachine(RuleBasedStateMachine):
    """Two instances over one store. They learn of each step at different times, and the next step waits for both.

    Whatever each of them knows: a create is admitted exactly where each of its limits has room, a session is found by
    its caller alone, a repeat of a request gets the same answer, and all failed checks count.
    """

    def __init__(self) -> None:
        super().__init__()
        limits = {f"THROTTLE_{name}": limit for name, limit in LIMITS.items()}
        self.loop = VirtualLoop()
        self.rotation = Rotation(limits | {"RECORD_RETENTION_DAYS": str(RETENTION_DAYS)})
        self.clock = self.rotation.clock
        self.step = 0
        self.known = [0, 0]
        self.apps = [self.rotation.at(STEPS[0]) for _ in range(2)]
        # When each limit of somebody was used.
        self.used: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self.given: list[Given] = []
        self.failed: set[str] = set()

    def teardown(self) -> None:
        self.loop.close()

    @precondition(lambda self: self.known == [self.step, self.step] and self.step < 3)
    @rule()
    def the_secret_changes(self) -> None:
        if self.step == 2:
            self.clock.advance_seconds(RETENTION_DAYS * 86_400)
            self.given.clear()
        self.step += 1

    @precondition(lambda self: self.known != [self.step, self.step])
    @rule(place=PLACE)
    def an_instance_learns_of_it(self, place: int) -> None:
        self.known[place] = self.step
        self.apps[place] = self.rotation.at(STEPS[self.step])

    @rule(minutes=st.sampled_from([10, 20, 30, 60]))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance_seconds(60 * minutes)

    @rule(
        place=PLACE,
        who=WHO,
        device=st.sampled_from(["a-device", "another"]),
        reference=st.sampled_from([None, None, "order:1"]),
        is_here=st.booleans(),
        key=st.sampled_from([None, "the-key-of-a-phone"]),
    )
    def a_phone_asks(
        self,
        place: int,
        who: tuple[Caller, str | None],
        device: str,
        reference: str | None,
        is_here: bool,
        key: str | None,
    ) -> None:
        # No two things happen at one time, in which a limiter would repeat what it said.
        self.clock.advance_seconds(60)
        caller, on_behalf_of = who
        caller = replace(caller, network=HERE if is_here else None, client_reference=reference)
        command = command_of(caller, device, reference=reference, on_behalf_of=on_behalf_of, key=key)
        if answered := self._answered(command):
            assert self.loop.run(give(self.apps[place], command)).created == answered.created
            return
        creates = [("DEVICE", _device(command)), ("PRINCIPAL", _person(command))]
        creates += [("REFERENCE", reference)] if reference else []
        creates += [("CLIENT", HERE)] if is_here else []
        looked_at = [("FAILURES", name) for _, name in creates[:2]]
        try:
            given = self.loop.run(give(self.apps[place], command))
        except Throttled:
            assert not all(self._has_room(*one) for one in creates + looked_at), "refused too early"
            return
        assert all(self._has_room(*one) for one in creates + looked_at), "admitted too many"
        self._note(creates)
        self.given.append(given)
        left = 2 - len(self._of_window(*creates[0]))
        assert given.created.rate_limit["RateLimit"].startswith(f'"device-20m";r={left}')
        assert given.created.rate_limit["RateLimit-Policy"] == '"device-20m";q=2;w=1200'

    @precondition(lambda self: self.given)
    @rule(place=PLACE, index=INDEX)
    def a_check_fails(self, place: int, index: int) -> None:
        self.clock.advance_seconds(60)
        given = self._one(index)
        if given.created.session_id in self.failed or given.created.expires_at < self.clock():
            return
        self.loop.run(self.rotation.fail(self.apps[place], given))
        self.failed.add(given.created.session_id)
        self._note([("FAILURES", _device(given.command)), ("FAILURES", _person(given.command))])

    @precondition(lambda self: self.given)
    @rule(place=PLACE, index=INDEX)
    def a_phone_reads(self, place: int, index: int) -> None:
        self.clock.advance_seconds(60)
        given = self._one(index)
        state = self.loop.run(read(self.apps[place], given, given.command.caller))
        assert bool(state.record.failed_at) == (given.created.session_id in self.failed)

    @precondition(lambda self: self.given)
    @rule(place=PLACE, index=INDEX)
    def a_stranger_reads(self, place: int, index: int) -> None:
        self.clock.advance_seconds(60)
        miss, stranger = ("MISSES", "eve"), Caller(f"{ISSUER} eve", network=HERE)
        try:
            self.loop.run(read(self.apps[place], self._one(index), stranger))
            raise AssertionError("a stranger read it")
        except SessionNotFound:
            assert self._has_room(*miss)
            self._note([miss])
        except ClientThrottled:
            assert not self._has_room(*miss)

    def _one(self, index: int) -> Given:
        return self.given[-1 - index % len(self.given)]

    def _answered(self, command: CreateCommand) -> Given | None:
        """The session that was given under a key, as long as its token lives."""
        return next((given for given in self.given if self._answers(given, command)), None)

    def _answers(self, given: Given, command: CreateCommand) -> bool:
        key, caller = given.command.idempotency_key, given.command.caller.principal
        is_same = key is not None and (key, caller) == (command.idempotency_key, command.caller.principal)
        return is_same and given.created.expires_at > self.clock()

    def _has_room(self, name: str, whose: str) -> bool:
        return len(self._of_window(name, whose)) < Policy.parse(LIMITS[name]).windows[0].limit

    def _of_window(self, name: str, whose: str) -> list[int]:
        period = Policy.parse(LIMITS[name]).longest_ms
        return [at for at in self.used[name, whose] if at > self.clock() - period]

    def _note(self, used: list[tuple[str, str]]) -> None:
        for one in used:
            self.used[one].append(self.clock())


def _device(command: CreateCommand) -> str:
    return f"{command.caller.principal} {command.device_id}"


def _person(command: CreateCommand) -> str:
    return f"{command.caller.principal} {command.on_behalf_of}"


TestRotationMachine = RotationMachine.TestCase
TestRotationMachine.settings = FORM
