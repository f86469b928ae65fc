"""One call for all who wait for its result."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Flight:
    """At most one call under way; it belongs to nobody who waits for it, and so outlives each of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin the call, which raises nothing, unless one is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(call(), name=self._name)

    async def landed(self) -> None:
        """Wait until no call is under way."""
        # Unlike awaiting the task, this does not end it where the waiter is cancelled.
        if self._task is not None and not self._task.done():
            await asyncio.wait((self._task,))

    async def aclose(self) -> None:
        """End a call that is under way."""
        if self._task is not None:
            self._task.cancel()
            await self.landed()
