"""The events of a local run, for the console page and the terminal."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from shared.events.publisher import Publisher

Event = Mapping[str, Any]


class EventLog:
    """A `Publisher` that passes events on to another one, and keeps the latest 100, the oldest first.

    `follower` is called with each event.
    """

    def __init__(self, publisher: Publisher) -> None:
        self.latest: deque[Event] = deque(maxlen=100)
        self.follower: Callable[[Event], None] = lambda _event: None
        self._publisher = publisher
        self._arrival = asyncio.Condition()

    async def event_of(self, session_id: str) -> Event:
        """Wait for the event of a session."""
        async with self._arrival:
            while True:
                for event in self.latest:
                    if event["subject"] == session_id:
                        return event
                await self._arrival.wait()

    async def publish(self, event: Event) -> None:
        """Pass the event on; raises `EventsUnavailable`."""
        await self._publisher.publish(event)
        async with self._arrival:
            self.latest.append(event)
            self._arrival.notify_all()
        self.follower(event)

    async def aclose(self) -> None:
        """Close the publisher below."""
        await self._publisher.aclose()
