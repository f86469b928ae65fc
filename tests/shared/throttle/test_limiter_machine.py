"""Three instances over one store, in every order of their calls, with faults: exact, and all or nothing."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.errors import EntityChanged, StorageUnavailable, Throttled
from shared.storage.memory import MemoryStore
from shared.throttle.limiter import BELIEVED_MS, Admission, Limiter, Subject
from shared.throttle.policy import Log
from tests.shared.throttle.builders import client, device, limit, stored
from tests.support.form import FORM
from tests.support.intercepted import Call, Effect
from tests.support.store import FakeStore
from tests.support.time import FakeClock, VirtualLoop

FAILED = limit("2/20s", "failures", "failed", charged=False)
SUBJECTS = (
    device("a", limit("2/10s, 3/m"), FAILED),
    device("b", limit("2/10s, 3/m"), FAILED),
    client("a", limit("3/20s", "client")),
    client("shared", limit("4/30s", "principal")),
)
LONGEST_MS = {subject.key: subject.limits[0].policy.longest_ms for subject in SUBJECTS}

INDEX = st.integers(0, 7)
PLACE = st.integers(0, 2)
ASKED = st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=4, unique_by=lambda subject: subject.key)


@dataclass(eq=False)
class Request:
    """A call of a limiter, and how many of its writes had their effect."""

    place: int
    kind: str
    keys: frozenset[str]
    subjects: list[Subject]
    began: int
    task: asyncio.Task[Any] | None = None
    writes: int = 0


@dataclass(eq=False)
class Parked:
    """A call of the store that waits: before its effect, or with its answer."""

    effect: Effect | None
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


Rows = dict[str, dict[str, Log]]


def limits_are_open(request: Request, now: int, rows: Rows) -> bool:
    """Whether all limits of a request had room at a time."""
    return all(
        limit.policy.opens_at(rows[subject.key].get(limit.log, ())) <= now
        for subject in request.subjects
        for limit in subject.limits
    )


CURRENT: ContextVar[Request] = ContextVar("CURRENT")


class LimiterMachine(RuleBasedStateMachine):
    """Every call of the store stops before its effect and before its answer, until a rule lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.clock = FakeClock()
        self.memory = MemoryStore()
        self.parked: list[Parked] = []
        self.late: list[Effect] = []
        self.requests: list[Request] = []
        self.admissions: list[Admission] = []
        # What is certainly charged, and how many entries more may be stored.
        self.charged: dict[str, list[int]] = {subject.key: [] for subject in SUBJECTS}
        self.uncertain: Counter[str] = Counter()
        self.history: list[tuple[int, Rows]] = []
        self.limiters = [self._limiter(place) for place in range(3)]
        self.loop.run(self._note())

    def teardown(self) -> None:
        try:
            self.everything_goes_on()
            self.requests_that_ended_were_right()
            assert not self.requests
        finally:
            self.loop.close()

    # What happens.

    @rule(place=PLACE, subjects=ASKED, times=st.sampled_from([1, 1, 2, 6]))
    def requests_come(self, place: int, subjects: list[Subject], times: int) -> None:
        for number in range(times):
            there = (place + number) % 3
            keys = frozenset(subject.key for subject in subjects)
            self._start(there, "admit", keys, self.limiters[there].admit(subjects), subjects)

    @rule(place=PLACE, subject=st.sampled_from(SUBJECTS[:2]), ago=st.sampled_from([0, 0, 1, 9000]))
    def a_failure_is_entered(self, place: int, subject: Subject, ago: int) -> None:
        charge = self.limiters[place].charge(subject.key, FAILED, self.clock.now - ago)
        self._start(place, "charge", frozenset([subject.key]), charge)

    @precondition(lambda self: self.admissions)
    @rule(place=PLACE, index=INDEX)
    def an_admission_is_refunded(self, place: int, index: int) -> None:
        admission = self.admissions.pop(index % len(self.admissions))
        for charge in admission.charges:
            self.charged[charge.key].remove(charge.stamp)
            self.uncertain[charge.key] += 1
        keys = frozenset(charge.key for charge in admission.charges)
        self._start(place, "refund", keys, self.limiters[place].refund(admission))

    @rule(milliseconds=st.sampled_from([1, 100, 3000, 9999, 10_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.clock.advance_ms(milliseconds)
        self.loop.run(self._note())

    @precondition(lambda self: self.parked)
    @rule(index=INDEX)
    def a_call_goes_on(self, index: int) -> None:
        self.parked[index % len(self.parked)].turn.set_result(None)
        self.loop.settle()

    @precondition(lambda self: self.parked)
    @rule()
    def everything_goes_on(self) -> None:
        while self.parked:
            self.parked[0].turn.set_result(None)
            self.loop.settle()

    @precondition(lambda self: self.parked)
    @rule(index=INDEX, late=st.booleans())
    def a_call_fails(self, index: int, late: bool) -> None:
        self._break(self.parked[index % len(self.parked)], late)
        self.loop.settle()

    @precondition(lambda self: self.late)
    @rule(index=INDEX)
    def a_late_effect_happens(self, index: int) -> None:
        effect = self.late.pop(index % len(self.late))

        async def happen() -> None:
            with suppress(EntityChanged):
                await effect()

        self.loop.run(happen())

    @precondition(lambda self: self.requests)
    @rule(index=INDEX)
    def a_caller_hangs_up(self, index: int) -> None:
        task = self.requests[index % len(self.requests)].task
        assert task
        task.cancel()
        self.loop.settle()

    @rule(place=PLACE)
    def an_instance_is_replaced(self, place: int) -> None:
        for request in self.requests:
            if request.place == place and request.task:
                request.task.cancel()
        self.loop.settle()
        self.limiters[place] = self._limiter(place)

    # What must hold.

    @invariant()
    def requests_that_ended_were_right(self) -> None:
        ended = [request for request in self.requests if request.task and request.task.done()]
        self.requests = [request for request in self.requests if request not in ended]
        for request in ended:
            self._judge(request)

    @invariant()
    def no_window_is_overfull(self) -> None:
        for subject in SUBJECTS:
            stamps = self.charged[subject.key]
            for window in subject.limits[0].policy.windows:
                for begin in stamps:
                    assert sum(begin <= at < begin + window.period_ms for at in stamps) <= window.limit

    @invariant()
    def store_holds_what_was_charged(self) -> None:
        _, rows = self.history[-1]
        for key, charged in self.charged.items():
            since = self.clock.now - LONGEST_MS[key]
            entries = Counter(at for at in rows[key].get("created", ()) if at > since)
            certain = Counter(at for at in charged if at > since)
            running = sum(request.writes for request in self.requests if key in request.keys)
            assert not certain - entries
            assert (entries - certain).total() <= self.uncertain[key] + running

    def _judge(self, request: Request) -> None:
        assert request.task
        error = None if request.task.cancelled() else request.task.exception()
        if request.kind != "admit":
            assert error is None or isinstance(error, StorageUnavailable)
        elif request.task.cancelled() or isinstance(error, StorageUnavailable):
            self.uncertain.update(request.keys)
        elif error is None:
            admission: Admission = request.task.result()
            assert request.writes == 1
            assert any(limits_are_open(request, now, rows) for now, rows in self.history[request.began :])
            assert {charge.key for charge in admission.charges} == request.keys
            self.admissions.append(admission)
            for charge in admission.charges:
                self.charged[charge.key].append(charge.stamp)
        else:
            assert isinstance(error, Throttled)
            assert request.writes == 0
            assert round(error.retry_after * 1000) in self._true_waits(request)

    def _true_waits(self, request: Request) -> set[int]:
        """Return the waits, told while the request was under way, of what the store held then or 10 s before."""
        since = self.history[request.began][0] - BELIEVED_MS
        opens = {
            limit.policy.opens_at(rows[subject.key].get(limit.log, ()))
            for number, (at, rows) in enumerate(self.history)
            if at >= since or number >= request.began
            for subject in request.subjects
            for limit in subject.limits
        }
        return {until - now for now, _ in self.history[request.began :] for until in opens if until > now}

    # How calls and requests move.

    def _limiter(self, place: int) -> Limiter:
        store = FakeStore(self.memory)

        async def park(call: Call, effect: Effect) -> object:
            request = CURRENT.get()

            async def take_effect() -> object:
                return await self._take_effect(request, call, effect)

            await self._wait(Parked(take_effect))
            answer = await take_effect()
            await self._wait(Parked(None))
            return answer

        store.around = park
        # A call takes as long as a rule lets it: the deadline must not end it. One instance can hardly cache anything.
        cached_rows, cached_refusals = (8, 1) if place == 2 else (100_000, 10_000)
        return Limiter(
            store,
            self.clock,
            random=lambda: 0.0,
            cached_rows=cached_rows,
            cached_refusals=cached_refusals,
            deadline=1_000_000,
        )

    async def _wait(self, parked: Parked) -> None:
        self.parked.append(parked)
        try:
            await parked.turn
        finally:
            self.parked.remove(parked)

    async def _take_effect(self, request: Request, call: Call, effect: Effect) -> object:
        answer = await effect()
        if call.operation != "get":
            request.writes += 1
            # An admission writes all its rows together. A refund leaves out a row without its charge.
            assert (
                set(call.keys) == request.keys if request.kind == "admit" else set(call.keys) <= request.keys
            )
            await self._note()
        return answer

    def _break(self, parked: Parked, late: bool) -> None:
        parked.turn.set_exception(StorageUnavailable("no answer"))
        if late and parked.effect:
            self.late.append(parked.effect)

    def _start(
        self,
        place: int,
        kind: str,
        keys: frozenset[str],
        call: Coroutine[Any, Any, Any],
        subjects: list[Subject] | None = None,
    ) -> None:
        request = Request(place, kind, keys, subjects or [], len(self.history) - 1)

        async def run() -> object:
            CURRENT.set(request)
            return await call

        request.task = self.loop.start(run())
        self.requests.append(request)
        self.loop.settle()

    async def _note(self) -> None:
        store = FakeStore(self.memory)
        rows = {subject.key: dict((await stored(store, subject.key)).logs) for subject in SUBJECTS}
        self.history.append((self.clock.now, rows))


LimiterMachine.TestCase.settings = FORM
TestLimiter = LimiterMachine.TestCase
