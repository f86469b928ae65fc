"""Time in tests: a clock that a test moves, and an event loop that jumps to its next timer."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

START_MS: Final = 1_800_000_240_000
"""The unix time at which virtual time begins: four minutes into a window of ten that is aligned to the clock."""

# A sum of floats may fall short of a whole millisecond by its last bits.
_TOLERANCE: Final = 1e-6


class FakeClock:
    """A `Clock` in unix milliseconds that moves only when a test moves it."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance_seconds(self, seconds: float) -> None:
        self.advance_ms(round(seconds * 1000))

    def advance_ms(self, milliseconds: int) -> None:
        self.now += milliseconds


class VirtualLoop:
    """Runs coroutines that do no I/O, one after another; its other tasks stay in between.

    Its time starts at 0 and jumps to the next timer, so that nothing waits for a real clock.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=_Loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self._runner.get_loop().create_task(coroutine)

    def settle(self) -> None:
        """Let everything run until only the test can make something happen."""
        self.run(asyncio.sleep(1.0))

    def close(self) -> None:
        """Cancel what still runs."""
        self._runner.close()


def run_in_virtual_time(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine that does no I/O on a loop whose time starts at 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(coroutine)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Decorate an asynchronous test that does no I/O, to run it on a loop whose time starts at 0."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_in_virtual_time(test(*args, **kwargs))

    return run


def virtual_clock() -> int:
    """Answer the running loop's time in unix milliseconds: a `Clock` that starts at `START_MS`."""
    return START_MS + int(asyncio.get_running_loop().time() * 1000 + _TOLERANCE)


def let_pass(seconds: float) -> None:
    """Move the clock of the running loop on, so that its timers until then are due: no test waits for a deadline."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]


class _JumpingSelector(selectors.SelectSelector):
    """Waits for nothing: without I/O, the next thing that happens is the next timer."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("Nothing is left that could happen.")
        self.now += max(timeout, 0.0)
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now
