"""A queue of messages that are delivered later: the port, and the queue of one process."""

import secrets
from dataclasses import dataclass, field
from typing import Protocol

from shared.text import Clock

RESULTS_QUEUE = "liveness-results"
"""The queue that triggers `collect_result`."""

POISON_QUEUE = f"{RESULTS_QUEUE}-poison"
"""Where the host puts a message that failed too often; the host chose the name."""

MAX_DELAY_SECONDS = 7 * 86_400 - 60
"""The longest time that a message can be invisible, less a minute for clocks that differ."""


class MessageQueue(Protocol):
    """A queue of texts; each is delivered at least once, in no order."""

    async def send(self, text: str, delay_seconds: float, *, patient: bool = False) -> None:
        """Add a message that becomes visible after a delay; raises `StorageUnavailable`.

        A failed send is repeated once, soon. A `patient` one goes on for some ten seconds: no caller waits for it.
        """

    async def check(self) -> None:
        """Make one cheap call to see that the queue answers; raises `StorageUnavailable`."""

    async def aclose(self) -> None:
        """Close connections."""


@dataclass(slots=True)
class QueuedMessage:
    """A message, when it was added and becomes visible (unix milliseconds), and how often it was taken."""

    text: str
    added_at: int
    visible_at: int
    dequeue_count: int = 0
    id: str = field(default_factory=secrets.token_hex)


@dataclass(slots=True)
class MemoryQueue:
    """A `MessageQueue` in a list, for tests and a laptop; its consumer calls `take` and `finish`."""

    clock: Clock
    messages: list[QueuedMessage] = field(default_factory=list)

    async def send(self, text: str, delay_seconds: float, *, patient: bool = False) -> None:
        """Add a message."""
        now = self.clock()
        self.messages.append(QueuedMessage(text, now, now + round(delay_seconds * 1000)))

    def take(self, hidden_seconds: float) -> QueuedMessage | None:
        """Take the message that has been visible for longest, and hide it for a while; None if none is visible."""
        due = [message for message in self.messages if message.visible_at <= self.clock()]
        if not due:
            return None
        message = min(due, key=lambda candidate: candidate.visible_at)
        message.visible_at = self.clock() + round(hidden_seconds * 1000)
        message.dequeue_count += 1
        return message

    def finish(self, message: QueuedMessage) -> None:
        """Remove a message that was handled."""
        self.messages.remove(message)

    async def check(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""
