"""The queue listener of the functions host: takes messages, calls the function, and settles each message.

Its queue is in memory, or a Storage Queue (Azurite).
"""

import asyncio
import base64
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from local.host import Host
from local.host_json import QueueOptions
from shared.app import App
from shared.errors import SettingsError, StorageUnavailable
from shared.queues.port import RESULTS_QUEUE, MemoryQueue
from shared.storage.account import StorageAccount

Invoke = Callable[[str, int, str], Awaitable[None]]
"""Calls the queue function with text, dequeue count and message id; raises what the function raises."""

if TYPE_CHECKING:
    from azure.storage.queue.aio import QueueClient

    from ops.poison_queue import PoisonMessage

# A developer waits for the event, and a poll on the same machine costs nothing: no `maxPollingInterval`.
_POLL_SECONDS = 0.2
_DEADLINE_SECONDS = 2.0
# PopReceiptMismatch, MessageNotFound.
_NOT_HELD = (400, 404)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TakenMessage:
    """A message with its content in base64; `receipt` says to its source which delivery this is."""

    id: str
    content: str
    dequeue_count: int
    receipt: Any


class MemorySource:
    """A queue in memory, with the same methods as `StorageSource`; `poisoned` is its poison queue."""

    def __init__(self, queue: MemoryQueue) -> None:
        self.queue = queue
        self.poisoned = MemoryQueue(queue.clock)

    async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
        """Take the messages that have been visible for longest."""
        taken: list[TakenMessage] = []
        while len(taken) < count and (message := self.queue.take(lease_seconds)):
            content = base64.b64encode(message.text.encode()).decode()
            taken.append(TakenMessage(message.id, content, message.dequeue_count, receipt=message))
        return taken

    async def remove(self, message: TakenMessage) -> None:
        """Remove the message."""
        self.queue.finish(message.receipt)

    async def release(self, message: TakenMessage, delay_seconds: float) -> None:
        """Change when the message is visible."""
        message.receipt.visible_at = self.queue.clock() + round(delay_seconds * 1000)

    async def poison(self, message: TakenMessage) -> None:
        """Move the message."""
        await self.poisoned.send(message.receipt.text, 0)
        await self.remove(message)

    async def depths(self) -> tuple[int, int]:
        """Return how many messages the queue and the poison queue have."""
        return len(self.queue.messages), len(self.poisoned.messages)

    async def oldest_due(self) -> int | None:
        """Return when the oldest message was added that waits now, in unix milliseconds; None if none waits."""
        now = self.queue.clock()
        return min((one.added_at for one in self.queue.messages if one.visible_at <= now), default=None)

    async def poison_messages(self) -> "list[PoisonMessage]":
        """Return the messages of the poison queue."""
        from ops.poison_queue import PoisonMessage

        return [
            PoisonMessage.read(one.added_at, base64.b64encode(one.text.encode()).decode())
            for one in self.poisoned.messages
        ]

    async def aclose(self) -> None:
        """Do nothing: there are no connections."""


class StorageSource:
    """A Storage Queue and the poison queue beside it, which need not exist yet.

    Methods raise `StorageUnavailable`. They change nothing for a message that another consumer has taken since.
    """

    def __init__(self, account: StorageAccount, name: str) -> None:
        self._queue = account.queue_client(name, encoded=False, deadline=_DEADLINE_SECONDS)
        self._poison = account.queue_client(f"{name}-poison", encoded=False, deadline=_DEADLINE_SECONDS)

    async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
        """Take at most `count` messages, and hide them for the lease."""
        lease = math.ceil(lease_seconds)
        with _translated(ignored=[404]):
            # One page is one request; the SDK's iterator would go on until the queue is empty.
            pages = self._queue.receive_messages(messages_per_page=count, visibility_timeout=lease).by_page()
            async for page in pages:
                return [
                    TakenMessage(each.id, each.content, each.dequeue_count or 0, each.pop_receipt)
                    async for each in page
                ]
        return []

    async def remove(self, message: TakenMessage) -> None:
        """Remove a message that was processed."""
        with _translated(ignored=_NOT_HELD):
            await self._queue.delete_message(message.id, message.receipt)

    async def release(self, message: TakenMessage, delay_seconds: float) -> None:
        """Make a message visible again after a delay."""
        delay = math.ceil(delay_seconds)
        with _translated(ignored=_NOT_HELD):
            await self._queue.update_message(message.id, message.receipt, visibility_timeout=delay)

    async def poison(self, message: TakenMessage) -> None:
        """Move a message unchanged to the poison queue."""
        with _translated(ignored=[409]):
            await self._poison.create_queue()
        with _translated():
            await self._poison.send_message(message.content)
        await self.remove(message)

    async def depths(self) -> tuple[int, int]:
        """Return about how many messages the queue and the poison queue have."""
        return await _depth(self._queue), await _depth(self._poison)

    async def oldest_due(self) -> int | None:
        """Return when the oldest message was added that waits now, in unix milliseconds; None if none waits."""
        with _translated(ignored=[404]):
            for message in await self._queue.peek_messages(max_messages=1):
                return round(message.inserted_on.timestamp() * 1000) if message.inserted_on else None
        return None

    async def poison_messages(self) -> "list[PoisonMessage]":
        """Return up to 32 messages of the poison queue, without taking them; raises `CommandFailed`."""
        from ops.poison_queue import PoisonQueue

        queue = PoisonQueue(self._poison)
        return await queue.peek() if await queue.count() else []

    async def aclose(self) -> None:
        """Close the connections."""
        await self._queue.close()
        await self._poison.close()


async def _depth(queue: "QueueClient") -> int:
    """Return about how many messages a queue has that need not exist; raises `StorageUnavailable`."""
    from azure.core.exceptions import ResourceNotFoundError

    with _translated():
        try:
            return (await queue.get_queue_properties()).approximate_message_count or 0
        except ResourceNotFoundError:
            return 0


@contextmanager
def _translated(ignored: Collection[int] = ()) -> Iterator[None]:
    """Raise `StorageUnavailable` for an error of the SDK, unless its status is ignored."""
    from azure.core.exceptions import AzureError

    try:
        yield
    except AzureError as fault:
        if getattr(fault, "status_code", None) not in ignored:
            raise StorageUnavailable(f"the queue failed: {type(fault).__name__}") from fault


MessageSource = MemorySource | StorageSource


class QueuePump:
    """Feeds the queue function: each message at least once, in no order.

    A message is hidden while the function runs, and removed if it succeeds. Otherwise it shows again later, and goes
    to the poison queue after too many failures. If this process dies, the message is delivered again when its lease
    ends. Unlike the real host, the pump does not extend leases: `functionTimeout` has to be shorter. It also takes
    the next batch only after the last one ended (no `newBatchThreshold`).
    """

    def __init__(self, source: MessageSource, invoke: Invoke, options: QueueOptions) -> None:
        self._source = source
        self._invoke = invoke
        self._options = options
        self._listening: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Start to listen, in the background."""
        self._listening = self._listening or asyncio.create_task(self._listen())

    async def stop(self, grace_seconds: float = 2.0) -> None:
        """Take no more messages, wait for running calls up to a grace period, and cancel the rest."""
        self._stopping.set()
        if self._listening is not None:
            await asyncio.wait([self._listening], timeout=grace_seconds)
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
        await self._source.aclose()

    async def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                is_empty = not await self.drain_once()
            except StorageUnavailable as fault:
                logger.warning("Cannot take messages of %s: %s", RESULTS_QUEUE, fault.detail)
                is_empty = True
            if is_empty:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _POLL_SECONDS)

    async def drain(self) -> int:
        """Process all visible messages; returns the number of deliveries."""
        delivered = 0
        while count := await self.drain_once():
            delivered += count
        return delivered

    async def drain_once(self) -> int:
        """Process one batch to its end; returns the number of its messages. Raises `StorageUnavailable`."""
        taken = await self._source.take(self._options.batch_size, self._options.lease)
        await asyncio.gather(*map(self._handle, taken))
        return len(taken)

    async def _handle(self, message: TakenMessage) -> None:
        try:
            if await self._succeeds(message):
                await self._source.remove(message)
            elif message.dequeue_count < self._options.max_dequeue_count:
                await self._source.release(message, self._options.retry_after)
            else:
                logger.error("Message %s goes to %s-poison", message.id, RESULTS_QUEUE)
                await self._source.poison(message)
        except StorageUnavailable as fault:
            logger.warning("A message of %s will be delivered again: %s", RESULTS_QUEUE, fault.detail)

    async def _succeeds(self, message: TakenMessage) -> bool:
        if message.dequeue_count > self._options.max_dequeue_count:
            # Each process that took it died.
            return False
        try:
            text = base64.b64decode(message.content, validate=True).decode()
            await self._invoke(text, message.dequeue_count, message.id)
        except Exception:
            logger.exception("The function of %s failed (delivery %d)", RESULTS_QUEUE, message.dequeue_count)
            return False
        return True


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
    options = replace(options, lease=lease_seconds or options.lease)
    return QueuePump(source or message_source(app), partial(host.invoke_queue, RESULTS_QUEUE), options)


def message_source(app: App) -> MessageSource:
    """Return the app's queue; raises `SettingsError` for one that needs a managed identity."""
    if isinstance(app.queue, MemoryQueue):
        return MemorySource(app.queue)
    connection = app.settings.storage_connection
    if connection is None:
        raise SettingsError(["AzureWebJobsStorage: expected a connection string where the app runs locally"])
    return StorageSource(StorageAccount.local(connection.reveal()), RESULTS_QUEUE)
