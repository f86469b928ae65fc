"""Where the pump takes messages from: the port, a queue in memory, and a Storage Queue (Azurite)."""

import base64
import math
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from shared.errors import StorageUnavailable
from shared.queues.memory import MemoryQueue, QueuedMessage
from shared.storage.account import StorageAccount

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TakenMessage:
    """A message with its content in base64; `receipt` is valid until another consumer takes the message."""

    id: str
    content: str
    dequeue_count: int
    receipt: str


class MessageSource(Protocol):
    """One queue, and the poison queue beside it. Each method raises `StorageUnavailable`.

    A call with a receipt that is not valid any more changes nothing: another consumer has the message.
    """

    async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
        """Take at most `count` messages, and hide them for the lease."""
        ...

    async def remove(self, message: TakenMessage) -> None:
        """Remove a message that was processed."""
        ...

    async def release(self, message: TakenMessage, delay_seconds: float) -> None:
        """Make a message visible again after a delay."""
        ...

    async def poison(self, message: TakenMessage) -> None:
        """Move a message to the poison queue."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@dataclass(slots=True)
class MemorySource:
    """A `MessageSource` over a `MemoryQueue`; `poisoned` is its poison queue."""

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
    """A `MessageSource` over a Storage Queue, which need not exist yet.

    `deadline` limits one call, in seconds.
    """

    def __init__(self, account: StorageAccount, name: str, *, deadline: float = 2.0) -> None:
        self._queue = account.queue_client(name, encoded=False, deadline=deadline)
        self._poison = account.queue_client(f"{name}-poison", encoded=False, deadline=deadline)

    async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
        """Ask once for messages."""
        return await _translated(self._take(count, math.ceil(lease_seconds)))

    async def remove(self, message: TakenMessage) -> None:
        """Delete the message with its pop receipt."""
        await _translated(_if_held(self._queue.delete_message(message.id, message.receipt)))

    async def release(self, message: TakenMessage, delay_seconds: float) -> None:
        """Change when the message is visible."""
        update = self._queue.update_message(
            message.id, message.receipt, visibility_timeout=math.ceil(delay_seconds)
        )
        await _translated(_if_held(update))

    async def poison(self, message: TakenMessage) -> None:
        """Add the message to the poison queue unchanged, then remove it."""
        await _translated(self._add_poison(message.content))
        await self.remove(message)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._queue.close()
        await self._poison.close()

    async def _take(self, count: int, lease: int) -> Sequence[TakenMessage]:
        from azure.core.exceptions import ResourceNotFoundError

        with suppress(ResourceNotFoundError):
            # One page is one request; the SDK's iterator would go on until the queue is empty.
            pages = self._queue.receive_messages(messages_per_page=count, visibility_timeout=lease).by_page()
            async for page in pages:
                return [_taken(message) async for message in page]
        return []

    async def _add_poison(self, content: str) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        try:
            await self._poison.send_message(content)
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):
                await self._poison.create_queue()
            await self._poison.send_message(content)


def _taken(message: "QueueMessage") -> TakenMessage:
    return TakenMessage(
        str(message.id), str(message.content), int(message.dequeue_count or 0), str(message.pop_receipt)
    )


async def _if_held(change: Awaitable[object]) -> None:
    """Change a message, unless another consumer took it or it is gone."""
    from azure.core.exceptions import HttpResponseError

    try:
        await change
    except HttpResponseError as fault:
        # 404 MessageNotFound, 400 PopReceiptMismatch
        if fault.status_code not in (400, 404):
            raise


async def _translated(call: Awaitable[_T]) -> _T:
    from azure.core.exceptions import AzureError

    try:
        return await call
    except AzureError as fault:
        raise StorageUnavailable(f"the queue failed: {type(fault).__name__}") from fault
