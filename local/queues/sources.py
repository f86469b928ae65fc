"""The queues of the pump: one in memory, and a Storage Queue (Azurite)."""

import base64
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.errors import StorageUnavailable
from shared.queues.memory import MemoryQueue, QueuedMessage
from shared.storage.account import StorageAccount

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage

_DEADLINE_SECONDS = 2.0
# PopReceiptMismatch, MessageNotFound.
_NOT_HELD = (400, 404)


@dataclass(frozen=True, slots=True)
class TakenMessage:
    """A message with its content in base64; `receipt` is valid until another consumer takes the message."""

    id: str
    content: str
    dequeue_count: int
    receipt: str


@dataclass(slots=True)
class MemorySource:
    """A queue in memory, with the same methods as `StorageSource`; `poisoned` is its poison queue."""

    queue: MemoryQueue
    poisoned: MemoryQueue = field(init=False)

    def __post_init__(self) -> None:
        self.poisoned = MemoryQueue(self.queue.clock)

    async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
        """Take the messages that have been visible for longest."""
        taken: list[TakenMessage] = []
        while len(taken) < count and (message := self.queue.take(lease_seconds)):
            content = base64.b64encode(message.text.encode()).decode()
            taken.append(TakenMessage(message.id, content, message.dequeue_count, _receipt(message)))
        return taken

    async def remove(self, message: TakenMessage) -> None:
        """Remove the message."""
        if queued := self._held(message):
            self.queue.finish(queued)

    async def release(self, message: TakenMessage, delay_seconds: float) -> None:
        """Change when the message is visible."""
        if queued := self._held(message):
            queued.visible_at = self.queue.clock() + round(delay_seconds * 1000)

    async def poison(self, message: TakenMessage) -> None:
        """Move the message."""
        if queued := self._held(message):
            await self.poisoned.send(queued.text, 0)
            self.queue.finish(queued)

    async def aclose(self) -> None:
        """Do nothing: there are no connections."""

    def _held(self, message: TakenMessage) -> QueuedMessage | None:
        """The message in the queue, if its receipt is still valid."""
        held = (message.id, message.receipt)
        return next((each for each in self.queue.messages if (each.id, _receipt(each)) == held), None)


def _receipt(message: QueuedMessage) -> str:
    return str(message.dequeue_count)


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
                return [_taken(message) async for message in page]
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

    async def aclose(self) -> None:
        """Close the connections."""
        await self._queue.close()
        await self._poison.close()


MessageSource = MemorySource | StorageSource


def _taken(message: "QueueMessage") -> TakenMessage:
    return TakenMessage(
        str(message.id), str(message.content), int(message.dequeue_count or 0), str(message.pop_receipt)
    )


@contextmanager
def _translated(ignored: Collection[int] = ()) -> Iterator[None]:
    """Raise `StorageUnavailable` for an error of the SDK, unless its status is ignored."""
    from azure.core.exceptions import AzureError

    try:
        yield
    except AzureError as fault:
        if getattr(fault, "status_code", None) not in ignored:
            raise StorageUnavailable(f"the queue failed: {type(fault).__name__}") from fault
