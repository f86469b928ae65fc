"""Where the pump takes messages from: the port."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TakenMessage:
    """A message as it is on the wire, in base64; `receipt` is good until somebody else takes the message."""

    id: str
    content: str
    dequeue_count: int
    receipt: str


class MessageSource(Protocol):
    """One queue, and the poison queue beside it. Each method raises `StorageUnavailable`.

    A receipt that is not good any more changes nothing: the message is somebody else's by now.
    """

    async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
        """Take up to so many messages and hide them for so long; none where none shows."""
        ...

    async def remove(self, message: TakenMessage) -> None:
        """Remove a message that was dealt with."""
        ...

    async def release(self, message: TakenMessage, delay_seconds: float) -> None:
        """Have a message show again after a delay."""
        ...

    async def poison(self, message: TakenMessage) -> None:
        """Put a message into the poison queue, and remove it from this one."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...
