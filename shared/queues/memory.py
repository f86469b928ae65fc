"""The queue of one process: for tests and for a laptop. Nothing in it outlives the process."""

import uuid
from dataclasses import dataclass, field

from shared.clock import Clock


@dataclass(slots=True)
class QueuedMessage:
    """A message, when it shows (unix milliseconds), and how often it was taken."""

    text: str
    visible_at: int
    dequeue_count: int = 0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True)
class MemoryQueue:
    """A `MessageQueue` in a list; `take` and `finish` are for who drains it."""

    clock: Clock
    messages: list[QueuedMessage] = field(default_factory=list)

    async def send(self, text: str, delay_seconds: float) -> None:
        """Add a message."""
        self.messages.append(QueuedMessage(text, self.clock() + round(delay_seconds * 1000)))

    def take(self, hidden_seconds: float) -> QueuedMessage | None:
        """Take the message that has shown for longest and hide it for a while, or None where none shows."""
        due = [message for message in self.messages if message.visible_at <= self.clock()]
        if not due:
            return None
        message = min(due, key=lambda candidate: candidate.visible_at)
        message.visible_at = self.clock() + round(hidden_seconds * 1000)
        message.dequeue_count += 1
        return message

    def finish(self, message: QueuedMessage) -> None:
        """Remove a message that was dealt with."""
        self.messages.remove(message)

    async def check(self) -> None:
        """Be there."""

    async def aclose(self) -> None:
        """Hold nothing that would have to be closed."""
