"""Messages of a Storage Queue (Azurite), for the pump."""

import math
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from local.queues.source import TakenMessage
from shared.errors import StorageUnavailable
from shared.queues.azure_queue import QueueAccount, queue_client

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage

_T = TypeVar("_T")


class StorageSource:
    """A `MessageSource` over a Storage Queue; the queues are made when the first message is put there.

    `deadline` is what one call may take, in seconds.
    """

    def __init__(self, account: QueueAccount | str, name: str, *, deadline: float = 2.0) -> None:
        self._queue = queue_client(account, name, encoded=False, deadline=deadline)
        self._poison = queue_client(account, f"{name}-poison", encoded=False, deadline=deadline)

    async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
        """Ask once for messages."""
        return await _translated(self._take(count, math.ceil(lease_seconds)))

    async def remove(self, message: TakenMessage) -> None:
        """Delete the message under its pop receipt."""
        await _translated(_if_held(self._queue.delete_message(message.id, message.receipt)))

    async def release(self, message: TakenMessage, delay_seconds: float) -> None:
        """Change until when the message is hidden."""
        update = self._queue.update_message(
            message.id, message.receipt, visibility_timeout=math.ceil(delay_seconds)
        )
        await _translated(_if_held(update))

    async def poison(self, message: TakenMessage) -> None:
        """Add the message to the poison queue as it is, then remove it."""
        await _translated(self._add_poison(message.content))
        await self.remove(message)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._queue.close()
        await self._poison.close()

    async def _take(self, count: int, lease: int) -> Sequence[TakenMessage]:
        from azure.core.exceptions import ResourceNotFoundError

        with suppress(ResourceNotFoundError):
            # One page is one request; the SDK's iterator would go on asking until nothing comes.
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
    """Make a change to a message; where it was taken by somebody else, or is gone, there is none to make."""
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
