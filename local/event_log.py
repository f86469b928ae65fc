"""The events of a local run, for the console page and the terminal."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.events.publisher import Publisher

Event = Mapping[str, Any]


class EventLog:
    """A `Publisher` that passes events on to another one, and keeps the latest 100."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._latest: deque[Event] = deque(maxlen=100)
        self._arrival = asyncio.Condition()
        self._followers: list[Callable[[Event], None]] = []

    def latest(self) -> Sequence[Event]:
        """The events so far, the oldest first."""
        return list(self._latest)

    def follow(self, follower: Callable[[Event], None]) -> None:
        """Call a function with each event from now on."""
        self._followers.append(follower)

    async def event_of(self, session_id: str) -> Event:
        """Wait for the event of a session."""
        async with self._arrival:
            while True:
                for event in self._latest:
                    if event["subject"] == session_id:
                        return event
                await self._arrival.wait()

    async def publish(self, event: Event) -> None:
        """Pass the event on; raises `EventsUnavailable`."""
        await self._publisher.publish(event)
        async with self._arrival:
            self._latest.append(event)
            self._arrival.notify_all()
        for follower in self._followers:
            follower(event)

    async def aclose(self) -> None:
        """Close the publisher below."""
        await self._publisher.aclose()
