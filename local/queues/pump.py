"""The queue listener of the functions host: takes messages, calls the function, and settles what becomes of them."""

import asyncio
import base64
import logging
from typing import Protocol

from local.queues.options import QueueOptions
from local.queues.source import MessageSource, TakenMessage
from shared.clock import Sleep
from shared.errors import StorageUnavailable

_FIRST_POLL_SECONDS = 0.1
_GRACE_SECONDS = 2.0

logger = logging.getLogger(__name__)


class Invoke(Protocol):
    """Calls the queue function."""

    async def __call__(self, text: str, *, dequeue_count: int, message_id: str) -> None:
        """Hand over a decoded message; raises what the function raises."""
        ...


class QueuePump:
    """Feeds one queue function, at least once with each message, in no order.

    A message is hidden while the function runs. It is removed where that went well; else it shows again later, and
    is moved to the poison queue after it failed too often. Whatever happens to this process, it is delivered again
    when its lease ends. Unlike the real host this one does not prolong leases: `functionTimeout` has to be shorter.
    """

    def __init__(
        self,
        source: MessageSource,
        invoke: Invoke,
        options: QueueOptions,
        *,
        name: str = "queue",
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._source = source
        self._invoke = invoke
        self._options = options
        self._name = name
        self._sleep = sleep
        self._listening: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen from now on, in the background."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def stop(self, grace_seconds: float = _GRACE_SECONDS) -> None:
        """Take nothing more, give what runs a while, and abandon the rest: its messages come back by themselves."""
        if self._listening is not None:
            await _end(self._listening)
            self._listening = None
        if self._running:
            await asyncio.wait(self._running, timeout=grace_seconds)
        for call in list(self._running):
            await _end(call)
        await self._source.aclose()

    async def drain_once(self) -> int:
        """Take one batch of what shows, and see it through; answers how many messages that were."""
        taken = await self._source.take(self._options.batch_size, self._options.lease)
        await asyncio.gather(*map(self._handle, taken))
        return len(taken)

    async def drain(self) -> int:
        """Go on until nothing shows any more; answers how often a message was delivered."""
        delivered = 0
        while count := await self.drain_once():
            delivered += count
        return delivered

    async def _listen(self) -> None:
        wait = _FIRST_POLL_SECONDS
        while True:
            while len(self._running) > self._options.new_batch_threshold:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            if await self._begin_batch():
                wait = _FIRST_POLL_SECONDS
            else:
                await self._sleep(min(wait, self._options.longest_poll))
                wait = min(2 * wait, self._options.longest_poll)

    async def _begin_batch(self) -> bool:
        try:
            taken = await self._source.take(self._options.batch_size, self._options.lease)
        except StorageUnavailable as fault:
            logger.warning("Messages of %s cannot be taken: %s", self._name, fault.detail)
            return False
        for message in taken:
            call = asyncio.create_task(self._handle(message))
            self._running.add(call)
            call.add_done_callback(self._running.discard)
        return bool(taken)

    async def _handle(self, message: TakenMessage) -> None:
        try:
            await self._settle(message, succeeded=await self._succeeds(message))
        except StorageUnavailable as fault:
            logger.warning("A message of %s comes again: %s", self._name, fault.detail)

    async def _succeeds(self, message: TakenMessage) -> bool:
        if message.dequeue_count > self._options.max_dequeue_count:
            # Whoever had it died each time.
            return False
        try:
            text = base64.b64decode(message.content, validate=True).decode()
            await self._invoke(text, dequeue_count=message.dequeue_count, message_id=message.id)
        except Exception:
            logger.exception(
                "The function of %s failed (delivery %d of %d)",
                self._name,
                message.dequeue_count,
                self._options.max_dequeue_count,
            )
            return False
        return True

    async def _settle(self, message: TakenMessage, *, succeeded: bool) -> None:
        if succeeded:
            await self._source.remove(message)
        elif message.dequeue_count < self._options.max_dequeue_count:
            await self._source.release(message, self._options.retry_after)
        else:
            logger.error("Message %s of %s goes to %s-poison", message.id, self._name, self._name)
            await self._source.poison(message)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; raises what it failed with before."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
