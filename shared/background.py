"""Work that goes on after its caller was answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from shared.telemetry import log_event

_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class Background:
    """Runs work under a deadline that ends the wait of its caller, and not the work; `aclose` ends both."""

    def __init__(self) -> None:
        self._late: set[asyncio.Task[Any]] = set()

    async def answer_by(
        self,
        deadline: float,
        work: Coroutine[Any, Any, _Result],
        when_late: Callable[[_Result], Awaitable[object]],
    ) -> _Result:
        """Return the result of `work`, or raise `TimeoutError` at a deadline in the event loop's time.

        The work then goes on, because it may be between two writes that belong together; a result that comes late is
        handed to `when_late`. Where the caller is cancelled, so is the work. After the deadline no work is started.
        """
        if asyncio.get_running_loop().time() >= deadline:
            work.close()
            raise TimeoutError
        task = asyncio.create_task(work)
        try:
            await asyncio.wait((task,), timeout=deadline - asyncio.get_running_loop().time())
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.done():
            return task.result()
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        self.start(self._end(task, when_late))
        raise TimeoutError

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Start work that nobody waits for. What it raises is logged."""
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._ended)

    async def aclose(self) -> None:
        """End the work that is late."""
        late = list(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _end(
        self, task: asyncio.Task[_Result], when_late: Callable[[_Result], Awaitable[object]]
    ) -> None:
        await when_late(await task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log_event(_log, logging.WARNING, "late_work_failed", error=type(error).__name__)
