"""A topic for events that is down for a while."""

from collections.abc import Mapping
from typing import Any

from shared.errors import EventsUnavailable


class WeakTopic:
    """A publisher that keeps events, and fails while it was told to.

    Of the calls that fail, every other one has its event taken: the answer was lost.
    """

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.failed = 0
        self._left = 0

    def go_down(self, count: int) -> None:
        """Fail so many calls."""
        self._left += count

    async def publish(self, event: Mapping[str, Any]) -> None:
        if not self._left:
            self.events.append(event)
            return
        self._left -= 1
        self.failed += 1
        if self.failed % 2:
            self.events.append(event)
        raise EventsUnavailable("the topic is down", retry_after=10)

    async def aclose(self) -> None:
        """Hold nothing that would have to be closed."""
