"""The host's own address at which an operator runs a function that nothing over HTTP triggers.

https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
"""

import asyncio
import json
import logging
from collections.abc import Iterable

from azure.functions.timer import TimerRequest

from local.host.indexing import TimerFunction
from local.host.invoking import Invoker

__all__ = ["Admin"]

_FUNCTIONS = "/admin/functions/"

logger = logging.getLogger(__name__)


class Admin:
    """Runs timer functions at once, beside what else goes on; their failures are in the log only."""

    def __init__(self, timers: Iterable[TimerFunction], invoker: Invoker) -> None:
        self._timers = {timer.name.lower(): timer for timer in timers}
        self._invoker = invoker
        self._running: set[asyncio.Task[None]] = set()

    def answer(self, method: str, path: str, body: bytes) -> int:
        """Return the status for a request with the master key, to a path in lower case.

        202: the function was started, and may still run; 400: the body is no JSON object, such as `{}`; 404.
        """
        timer = self._timers.get(path.removeprefix(_FUNCTIONS))
        if method != "POST" or timer is None:
            return 404
        if not _is_object(body):
            return 400
        task = asyncio.create_task(self._run(timer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return 202

    async def finish(self) -> None:
        """Wait for what is running; `functionTimeout` bounds it."""
        await asyncio.gather(*self._running)

    async def _run(self, timer: TimerFunction) -> None:
        try:
            await self._invoker.call(timer, TimerRequest(past_due=False))
        except Exception:
            logger.exception("Executed 'Functions.%s' (Failed)", timer.name)


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False
