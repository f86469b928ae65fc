"""An event loop for one test: its time jumps to the next timer, so that no pause of the product is waited for."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop:
    """Runs coroutines one after another on a loop that keeps its other tasks in between."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=_Loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self._runner.run(coroutine)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Have a coroutine run beside what comes."""
        return self._runner.get_loop().create_task(coroutine)

    def settle(self) -> None:
        """Let everything run until it waits for something that only the test can make happen."""
        self.run(asyncio.sleep(1.0))

    def close(self) -> None:
        """Cancel what still runs."""
        self._runner.close()


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now
