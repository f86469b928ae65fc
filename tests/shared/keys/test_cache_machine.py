import asyncio
import math
from collections.abc import Coroutine
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.errors import KeyUnavailable
from shared.keys.cache import (
    COLD_PAUSE,
    FORCED,
    FORCED_SELDOM,
    HARD_LIFETIME,
    RETRY_PAUSE,
    SOFT_LIFETIME,
    CachedSecret,
)
from shared.keys.secret import Secret
from tests.shared.keys.fake_secret import HOUR, MINUTE, SECOND, settle
from tests.support.form import FORM
from tests.support.time import FakeClock

SPANS = st.one_of(
    st.integers(1, 40 * SECOND),
    st.integers(12 * MINUTE, 18 * MINUTE),
    st.sampled_from([5 * SECOND, 30 * SECOND, 24 * HOUR]),
)


class RecordingVault:
    """Answers when the machine lets it, and writes down what the invariants are about."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.version = 1
        self.up = True
        self.under_way = 0
        self.most_under_way = 0
        self.broken_off = 0
        self.starts: list[int] = []
        self.forced: list[int] = []
        self.failed_at: list[int] = []
        self.hammered = False
        self.newest: Secret | None = None
        self.known_since: dict[str, int] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> Secret:
        pause = RETRY_PAUSE if self.age() < HARD_LIFETIME else COLD_PAUSE
        self.hammered |= self.within(self.failed_at, pause)
        return await self.call()

    async def reread(self) -> Secret:
        self.forced.append(self.clock())
        return await self.call()

    async def call(self) -> Secret:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.starts.append(self.clock())
        try:
            await self.gate.wait()
            return self.answer()
        except asyncio.CancelledError:
            self.broken_off += 1
            raise
        finally:
            self.under_way -= 1

    def answer(self) -> Secret:
        if not self.up:
            self.failed_at.append(self.clock())
            raise KeyUnavailable("down")
        value = f"key-{self.version}"
        self.known_since[value] = self.starts[-1]
        self.newest = Secret(value)
        return self.newest

    def age(self) -> float:
        """How old the newest value is that was ever answered, in milliseconds."""
        return self.clock() - max(self.known_since.values(), default=-math.inf)

    def within(self, moments: list[int], span: int) -> bool:
        """Whether the last of these moments is less than `span` ago."""
        return bool(moments) and self.clock() - moments[-1] < span


class CachedSecretMachine(RuleBasedStateMachine):
    """A cache between requests that come, are refused and hang up, and a vault that is slow, fails and rotates."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.vault = RecordingVault(self.clock)
        self.waiting: dict[asyncio.Task[Secret], tuple[int, Secret | None]] = {}

    @initialize(forced=st.sampled_from([FORCED, FORCED_SELDOM]))
    def it_is_forced_so_often(self, forced: tuple[int, int]) -> None:
        self.forced = forced
        self.cache = CachedSecret(
            self.vault.read, name="face-key", clock=self.clock, reread=self.vault.reread, forced=forced
        )

    def teardown(self) -> None:
        for task in self.waiting:
            task.cancel()
        self.run(self.cache.aclose())
        self.loop.close()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(coroutine)
        self.collect()

    def ask(self, coroutine: Coroutine[Any, Any, Secret], refused: Secret | None = None) -> None:
        self.waiting[self.loop.create_task(coroutine)] = (self.clock(), refused)
        self.run(settle())

    def collect(self) -> None:
        done = [task for task in self.waiting if task.done()]
        for task in done:
            asked_at, refused = self.waiting.pop(task)
            if not task.cancelled():
                self.check(task, asked_at, refused)

    def check(self, task: asyncio.Task[Secret], asked_at: int, refused: Secret | None) -> None:
        if task.exception() is not None:
            assert isinstance(task.exception(), KeyUnavailable)
            assert self.vault.age() >= HARD_LIFETIME, "refused with a value in hand"
            return
        read_at = self.vault.known_since[task.result().reveal()]
        assert self.clock() - read_at < HARD_LIFETIME, "served beyond its life"
        if task.result() == refused and read_at < asked_at:
            times, span = self.forced
            looked = self.vault.within(self.vault.forced[: 1 - times or None], span)
            # After a failure every read waits for a second at least.
            assert looked or self.vault.within(self.vault.failed_at, SECOND), (
                "answered what was refused without a look"
            )
            assert not self.vault.under_way, "did not wait for the forced read"

    @rule(span=SPANS)
    def time_passes(self, span: int) -> None:
        if self.vault.under_way:
            # A vault call ends within its deadline of 3 seconds.
            span = min(span, self.vault.starts[-1] + 3 * SECOND - self.clock())
        self.clock.advance_ms(span)

    @rule(up=st.booleans())
    def vault_goes_down_or_comes_up(self, up: bool) -> None:
        self.vault.up = up

    @rule()
    def key_is_rotated(self) -> None:
        self.vault.version += 1

    @rule()
    def a_request_comes(self) -> None:
        self.ask(self.cache.get())

    @rule(ago=st.integers(0, 2), requests=st.integers(1, 3))
    def requests_are_refused(self, ago: int, requests: int) -> None:
        refused = Secret(f"key-{max(1, self.vault.version - ago)}")
        for _ in range(requests):
            in_use = self.vault.under_way or self.vault.newest == refused or self.vault.age() >= HARD_LIFETIME
            forced = len(self.vault.forced)
            self.ask(self.cache.refresh(refused), refused)
            assert in_use or len(self.vault.forced) == forced, "looked again for a key that is not in use"

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_caller_hangs_up(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(list(self.waiting))).cancel()
        self.run(settle())

    @rule()
    def vault_turns_slow(self) -> None:
        self.vault.gate.clear()

    @rule(for_good=st.booleans())
    def vault_answers(self, for_good: bool) -> None:
        self.vault.gate.set()
        self.run(settle())
        if not for_good:
            self.vault.gate.clear()

    @precondition(lambda self: not self.vault.under_way)
    @rule()
    def a_young_value_comes_from_memory_and_an_old_one_is_replaced(self) -> None:
        failed_lately = self.vault.within(self.vault.failed_at, RETRY_PAUSE)
        starts = len(self.vault.starts)
        if self.vault.age() < 0.9 * SOFT_LIFETIME:
            self.ask(self.cache.get())
            assert len(self.vault.starts) == starts, "a young value was read again"
        elif self.vault.age() >= 1.1 * SOFT_LIFETIME and not failed_lately:
            waiting, has_value = len(self.waiting), self.vault.age() < HARD_LIFETIME
            self.ask(self.cache.get())
            assert len(self.vault.starts) == starts + 1, "an old value was not read again"
            assert len(self.waiting) == waiting or not has_value, "waited for a refresh with a value in hand"

    @invariant()
    def vault_is_spared(self) -> None:
        forced, (times, span) = self.vault.forced, self.forced
        assert self.vault.most_under_way <= 1
        assert all(later - earlier >= span for earlier, later in zip(forced, forced[times:], strict=False))
        assert not self.vault.hammered, "no pause after a failure"

    @invariant()
    def reads_do_not_depend_on_their_callers(self) -> None:
        assert self.vault.broken_off == 0
        assert not self.waiting or self.vault.under_way, "a caller waits for nothing"


TestCachedSecretMachine = CachedSecretMachine.TestCase
TestCachedSecretMachine.settings = FORM
