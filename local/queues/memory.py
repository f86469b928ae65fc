"""Messages of a queue in memory, for the pump."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from local.queues.source import TakenMessage
from shared.queues.memory import MemoryQueue, QueuedMessage


@dataclass(slots=True)
class MemorySource:
    """A `MessageSource` over a `MemoryQueue`; what is poison is in another one."""

    queue: MemoryQueue
    poisoned: MemoryQueue = field(init=False)

    def __post_init__(self) -> None:
        self.poisoned = MemoryQueue(self.queue.clock)

    async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
        """Take what has shown for longest."""
        taken: list[TakenMessage] = []
        while len(taken) < count and (message := self.queue.take(lease_seconds)):
            content = base64.b64encode(message.text.encode()).decode()
            taken.append(TakenMessage(message.id, content, message.dequeue_count, _receipt(message)))
        return taken

    async def remove(self, message: TakenMessage) -> None:
        """Remove the message."""
        for queued in self._held(message):
            self.queue.finish(queued)

    async def release(self, message: TakenMessage, delay_seconds: float) -> None:
        """Show the message again."""
        for queued in self._held(message):
            queued.visible_at = self.queue.clock() + round(delay_seconds * 1000)

    async def poison(self, message: TakenMessage) -> None:
        """Move the message."""
        for queued in self._held(message):
            await self.poisoned.send(queued.text, 0)
            self.queue.finish(queued)

    async def aclose(self) -> None:
        """Hold nothing that would have to be closed."""

    def _held(self, message: TakenMessage) -> list[QueuedMessage]:
        """The message in the queue, if it still is whose receipt this is."""
        return [
            queued
            for queued in self.queue.messages
            if (queued.id, _receipt(queued)) == (message.id, message.receipt)
        ]


def _receipt(message: QueuedMessage) -> str:
    return str(message.dequeue_count)
