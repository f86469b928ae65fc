"""Three instances over one store, in every order of their calls, with faults: exact, and all or nothing."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from shared.errors import StorageUnavailable, Throttled
from shared.storage.port import MemoryStore
from shared.throttle.limiter import BELIEVED_MS, Admission, Limiter, Subject
from shared.throttle.policy import Log
from tests.shared.throttle.builders import client, device, limit, stored
from tests.support.form import FORM
from tests.support.intercepted import Call, Effect
from tests.support.stage import ACTOR, Process
from tests.support.stage import Call as StagedCall
from tests.support.staged_machine import INDEX, StagedMachine
from tests.support.store import FakeStore
from tests.support.world import Request, StagedWorld

FAILED = limit("2/20s", "failures", "failed", charged=False)
SUBJECTS = (
    device("a", limit("2/10s, 3/m"), FAILED),
    device("b", limit("2/10s, 3/m"), FAILED),
    client("a", limit("3/20s", "client")),
    client("shared", limit("4/30s", "principal")),
)
LONGEST_MS = {subject.key: subject.limits[0].policy.longest_ms for subject in SUBJECTS}

PLACE = st.integers(0, 2)
ASKED = st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=4, unique_by=lambda subject: subject.key)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is about; `began` is how many states of the store were noted before it."""

    kind: str
    keys: frozenset[str]
    subjects: Sequence[Subject]
    began: int


Rows = dict[str, dict[str, Log]]


def limits_are_open(asked: Asked, now: int, rows: Rows) -> bool:
    """Whether all limits of a request had room at a time."""
    return all(
        limit.policy.opens_at(rows[subject.key].get(limit.log, ())) <= now
        for subject in asked.subjects
        for limit in subject.limits
    )


class LimiterWorld(StagedWorld[Limiter]):
    """Three limiters over one store. `history`: what it held, and when; `writes`: the keys that a request wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryStore()
        self.history: list[tuple[int, Rows]] = []
        self.writes: dict[int | None, list[frozenset[str]]] = defaultdict(list)
        self.instances = [self.new_instance(place) for place in range(3)]
        self.run(self.note())

    async def note(self) -> None:
        """Take down what the store holds."""
        store = FakeStore(self.memory)
        rows = {subject.key: dict((await stored(store, subject.key)).logs) for subject in SUBJECTS}
        self.history.append((self.clock.now, rows))

    def new_instance(self, place: int) -> tuple[Process, Limiter]:
        """Make a limiter on the stage. The last can hardly cache anything."""
        process, store = Process(), FakeStore(self.memory)

        async def around(call: Call, effect: Effect) -> object:
            actor = ACTOR.get()

            async def take_effect() -> object:
                answer = await effect()
                if call.operation != "get":
                    self.writes[actor].append(frozenset(call.keys))
                    await self.note()
                return answer

            staged = StagedCall(call.operation, process, take_effect)
            return await self.stage.perform(
                staged, StorageUnavailable("not sent"), StorageUnavailable("lost")
            )

        store.around = around
        cached_rows, cached_refusals = (8, 1) if place == 2 else (100_000, 10_000)
        return process, Limiter(
            store,
            self.clock,
            random=lambda: 0.0,
            cached_rows=cached_rows,
            cached_refusals=cached_refusals,
            # A call takes as long as a rule lets it: the deadline must not end it.
            deadline=1_000_000,
        )


class LimiterMachine(StagedMachine):
    """Requests of three instances, whose calls of the store go on in any order, fail, or have late effects."""

    world: LimiterWorld

    def __init__(self) -> None:
        super().__init__()
        self.world = LimiterWorld()
        self.asked: dict[Request, Asked] = {}
        self.admissions: list[Admission] = []
        # What is certainly charged, and how many entries more may be stored.
        self.charged: dict[str, list[int]] = {subject.key: [] for subject in SUBJECTS}
        self.uncertain: Counter[str] = Counter()

    def teardown(self) -> None:
        try:
            self.world.finish()
            self.requests_that_ended_were_right()
            assert not self.asked
        finally:
            super().teardown()

    # What happens.

    @rule(place=PLACE, subjects=ASKED, times=st.sampled_from([1, 1, 2, 6]))
    def requests_come(self, place: int, subjects: list[Subject], times: int) -> None:
        keys = frozenset(subject.key for subject in subjects)
        for number in range(times):
            self.start("admit", (place + number) % 3, keys, lambda one: one.admit(subjects), subjects)

    @rule(place=PLACE, subject=st.sampled_from(SUBJECTS[:2]), ago=st.sampled_from([0, 0, 1, 9000]))
    def a_failure_is_entered(self, place: int, subject: Subject, ago: int) -> None:
        at = self.world.clock.now - ago
        self.start("charge", place, {subject.key}, lambda one: one.charge(subject.key, FAILED, at))

    @precondition(lambda self: self.admissions)
    @rule(place=PLACE, index=INDEX)
    def an_admission_is_refunded(self, place: int, index: int) -> None:
        admission = self.admissions.pop(index % len(self.admissions))
        for charge in admission.charges:
            self.charged[charge.key].remove(charge.stamp)
            self.uncertain[charge.key] += 1
        keys = {charge.key for charge in admission.charges}
        self.start("refund", place, keys, lambda one: one.refund(admission))

    @rule(milliseconds=st.sampled_from([1, 100, 3000, 9999, 10_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.world.clock.advance_ms(milliseconds)
        self.world.run(self.world.note())

    def start(
        self,
        kind: str,
        place: int,
        keys: Collection[str],
        ask: Callable[[Limiter], Coroutine[Any, Any, Any]],
        subjects: Sequence[Subject] = (),
    ) -> None:
        asked = Asked(kind, frozenset(keys), subjects, len(self.world.history) - 1)
        self.asked[self.world.send(place, ask)] = asked

    # What must hold.

    @invariant()
    def requests_that_ended_were_right(self) -> None:
        for request in self.world.ended():
            self.judge(request, self.asked.pop(request))

    @invariant()
    def no_window_is_overfull(self) -> None:
        for subject in SUBJECTS:
            stamps = self.charged[subject.key]
            for window in subject.limits[0].policy.windows:
                for begin in stamps:
                    assert sum(begin <= at < begin + window.period_ms for at in stamps) <= window.limit

    @invariant()
    def store_holds_what_was_charged(self) -> None:
        _, rows = self.world.history[-1]
        for key, charged in self.charged.items():
            since = self.world.clock.now - LONGEST_MS[key]
            entries = Counter(at for at in rows[key].get("created", ()) if at > since)
            certain = Counter(at for at in charged if at > since)
            running = sum(
                len(self.world.writes[request.number])
                for request, asked in self.asked.items()
                if key in asked.keys
            )
            assert not certain - entries
            assert (entries - certain).total() <= self.uncertain[key] + running

    def judge(self, request: Request, asked: Asked) -> None:
        error = None if request.task.cancelled() else request.task.exception()
        writes = self.world.writes[request.number]
        if asked.kind != "admit":
            assert error is None or isinstance(error, StorageUnavailable)
            # A refund leaves out a row without its charge.
            assert all(keys <= asked.keys for keys in writes)
            return
        # An admission writes all its rows together.
        assert all(keys == asked.keys for keys in writes)
        if request.task.cancelled() or isinstance(error, StorageUnavailable):
            self.uncertain.update(asked.keys)
        elif error is None:
            admission: Admission = request.task.result()
            assert len(writes) == 1
            assert any(limits_are_open(asked, now, rows) for now, rows in self.world.history[asked.began :])
            assert {charge.key for charge in admission.charges} == asked.keys
            self.admissions.append(admission)
            for charge in admission.charges:
                self.charged[charge.key].append(charge.stamp)
        else:
            assert isinstance(error, Throttled)
            assert writes == []
            assert round(error.retry_after * 1000) in self.true_waits(asked)

    def true_waits(self, asked: Asked) -> set[int]:
        """Return the waits, told while a request was under way, of what the store held then or 10 s before."""
        history = self.world.history
        since = history[asked.began][0] - BELIEVED_MS
        opens = {
            limit.policy.opens_at(rows[subject.key].get(limit.log, ()))
            for number, (at, rows) in enumerate(history)
            if at >= since or number >= asked.began
            for subject in asked.subjects
            for limit in subject.limits
        }
        return {until - now for now, _ in history[asked.began :] for until in opens if until > now}


LimiterMachine.TestCase.settings = FORM
TestLimiter = LimiterMachine.TestCase
