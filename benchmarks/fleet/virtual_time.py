"""An event loop whose time jumps to the next timer, so that minutes of a fleet pass in seconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

START_MS: Final = 1_800_000_240_000
"""The unix time at which virtual time begins: four minutes into a window of ten that is aligned to the clock."""

# A sum of floats may fall short of a whole millisecond by its last bits.
_TOLERANCE: Final = 1e-6


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: there is no I/O, so the next thing that happens is the next timer."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("Nothing is left that could happen.")
        self.now += max(timeout, 0.0)
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that does no I/O, on a loop whose time starts at 0."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(coroutine)


def virtual_clock() -> int:
    """Answer the running loop's time in unix milliseconds: a `Clock`."""
    return START_MS + int(asyncio.get_running_loop().time() * 1000 + _TOLERANCE)
