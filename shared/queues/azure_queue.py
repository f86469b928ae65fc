"""The message queue in Azure Queue Storage."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from shared.errors import StorageUnavailable
from shared.queues.port import MAX_DELAY_SECONDS
from shared.text import Sleep

if TYPE_CHECKING:
    from azure.storage.queue.aio import QueueClient

# By default a queue drops a message after a week: an app that is down for longer would lose events.
_NEVER_EXPIRES = -1
_ROLE = (
    "the app's identity needs the role Storage Queue Data Contributor, "
    "and the account's network rules have to admit the app"
)
_ADVICE: Final[dict[object, str]] = {
    401: _ROLE,
    403: _ROLE,
    404: "the queue does not exist; the deployment creates it",
}
"""By the statuses that stay until an operator has repaired something."""

# Seconds before each further try. A partition of the service that moves is away for some seconds.
_PAUSES = (0.2,)
_PATIENT_PAUSES = (1.0, 3.0, 6.0)
# A patient send waits no longer for the next try, whatever the service asks for: its function has a time limit.
_LONGEST_PAUSE = 6.0


class AzureQueue:
    """A `MessageQueue` in Azure Queue Storage. Each try has `deadline` seconds; `create` makes a missing queue."""

    def __init__(
        self, client: "QueueClient", *, create: bool, deadline: float, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._client = client
        self._create = create
        self._deadline = deadline
        self._sleep = sleep

    async def send(self, text: str, delay_seconds: float, *, patient: bool = False) -> None:
        """Add a message; further tries follow a failed one, unless the queue refused the app."""
        delay = min(max(0, round(delay_seconds)), MAX_DELAY_SECONDS)

        def send() -> Awaitable[object]:
            return self._client.send_message(text, visibility_timeout=delay, time_to_live=_NEVER_EXPIRES)

        for pause in _PATIENT_PAUSES if patient else _PAUSES:
            try:
                await self._call(send)
            except StorageUnavailable as failure:
                if failure.lasting:
                    raise
                # That try may have arrived. The same message twice does no harm; one that is lost delays an event.
                await self._sleep(max(pause, min(failure.retry_after, _LONGEST_PAUSE)) if patient else pause)
            else:
                return
        await self._call(send)

    async def check(self) -> None:
        """Ask for the queue's properties, which only a queue service has."""
        await self._call(self._count)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _count(self) -> int:
        properties = await self._client.get_queue_properties()
        # The SDK takes any answer with status 200.
        return int(properties.approximate_message_count)  # type: ignore[arg-type]

    async def _call(self, call: Callable[[], Awaitable[object]]) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        from shared.azure_transport import unavailable

        try:
            async with asyncio.timeout(self._deadline):
                try:
                    await call()
                except ResourceNotFoundError:
                    if not self._create:
                        raise
                    with suppress(ResourceExistsError):
                        await self._client.create_queue()
                    await call()
        except Exception as fault:
            raise unavailable(
                StorageUnavailable, "the queue service", fault, _ADVICE, lasting=tuple(_ADVICE)
            ) from fault
