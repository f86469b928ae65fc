"""A queue of messages that are delivered later."""

from typing import Protocol

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
