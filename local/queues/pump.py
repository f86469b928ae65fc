"""The queue listener of the functions host: takes messages, calls the function, and settles each message."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from local.host import Host
from local.host_json import QueueOptions
from local.queues.sources import MemorySource, MessageSource, StorageSource, TakenMessage
from shared.app import App
from shared.errors import SettingsError, StorageUnavailable
from shared.queues.memory import MemoryQueue
from shared.queues.port import RESULTS_QUEUE
from shared.storage.account import StorageAccount

Invoke = Callable[[str, int, str], Awaitable[None]]
"""Calls the queue function with text, dequeue count and message id; raises what the function raises."""

_FIRST_POLL_SECONDS = 0.1
# A developer waits for the event, and a poll on the same machine costs nothing.
_LONGEST_LOCAL_POLL_SECONDS = 0.5

logger = logging.getLogger(__name__)


class QueuePump:
    """Feeds one queue function: each message at least once, in no order.

    A message is hidden while the function runs, and removed if it succeeds. Otherwise it shows again later, and goes
    to the poison queue after too many failures. If this process dies, the message is delivered again when its lease
    ends. Unlike the real host, the pump does not extend leases: `functionTimeout` has to be shorter.
    """

    def __init__(
        self, source: MessageSource, invoke: Invoke, options: QueueOptions, name: str = "queue"
    ) -> None:
        self._source = source
        self._invoke = invoke
        self._options = options
        self._name = name
        self._listening: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start to listen, in the background."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def stop(self, grace_seconds: float = 2.0) -> None:
        """Take no more messages, wait for running calls up to a grace period, and cancel the rest."""
        if self._listening is not None:
            await _end(self._listening)
            self._listening = None
        if self._running:
            await asyncio.wait(self._running, timeout=grace_seconds)
        for call in list(self._running):
            await _end(call)
        await self._source.aclose()

    async def drain_once(self) -> int:
        """Process one batch to its end; returns the number of its messages."""
        taken = await self._source.take(self._options.batch_size, self._options.lease)
        await asyncio.gather(*map(self._handle, taken))
        return len(taken)

    async def drain(self) -> int:
        """Process all visible messages; returns the number of deliveries."""
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
                await asyncio.sleep(min(wait, self._options.longest_poll))
                wait = min(2 * wait, self._options.longest_poll)

    async def _begin_batch(self) -> bool:
        try:
            taken = await self._source.take(self._options.batch_size, self._options.lease)
        except StorageUnavailable as fault:
            logger.warning("Cannot take messages of %s: %s", self._name, fault.detail)
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
            logger.warning("A message of %s will be delivered again: %s", self._name, fault.detail)

    async def _succeeds(self, message: TakenMessage) -> bool:
        if message.dequeue_count > self._options.max_dequeue_count:
            # Each process that took it died.
            return False
        try:
            text = base64.b64decode(message.content, validate=True).decode()
            await self._invoke(text, message.dequeue_count, message.id)
        except Exception:
            logger.exception("The function of %s failed (delivery %d)", self._name, message.dequeue_count)
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
    """Cancel a task and wait for its end; raises the error of a task that failed before."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def queue_pump(
    app: App,
    host: Host,
    host_json: Mapping[str, Any],
    *,
    source: MessageSource | None = None,
    lease_seconds: float | None = None,
) -> QueuePump:
    """Make the pump from the app's queue (or `source`) to its function; it is not started yet.

    `lease_seconds` replaces the host's ten minutes. Raises `SettingsError` for a queue that needs a managed identity.
    """
    options = QueueOptions.parse(host_json)
    options = replace(
        options,
        longest_poll=min(options.longest_poll, _LONGEST_LOCAL_POLL_SECONDS),
        lease=lease_seconds or options.lease,
    )
    invoke = partial(host.invoke_queue, RESULTS_QUEUE)
    return QueuePump(source or _source(app), invoke, options, RESULTS_QUEUE)


def _source(app: App) -> MessageSource:
    if isinstance(app.queue, MemoryQueue):
        return MemorySource(app.queue)
    connection = app.settings.storage_connection
    if connection is None:
        raise SettingsError(["AzureWebJobsStorage: expected a connection string where the app runs locally"])
    return StorageSource(StorageAccount.local(connection.reveal()), RESULTS_QUEUE)
