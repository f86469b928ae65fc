"""What the broker asks of a queue."""

from typing import Protocol

RESULTS_QUEUE = "liveness-results"
"""Where `collect_result` takes its messages from."""

POISON_QUEUE = f"{RESULTS_QUEUE}-poison"
"""Where the host puts a message that failed too often; named by it."""

MAX_DELAY_SECONDS = 7 * 86_400 - 60
"""The longest that a message can be invisible, less a minute for clocks that differ."""


class MessageQueue(Protocol):
    """A queue of texts; each is delivered at least once, in no order."""

    async def send(self, text: str, delay_seconds: float) -> None:
        """Add a message that shows after a delay; raises `StorageUnavailable`."""
        ...

    async def check(self) -> None:
        """Ask the queue for a sign of life; raises `StorageUnavailable`."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...
