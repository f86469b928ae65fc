"""Who takes events: the port, and what a laptop has in place of Event Grid."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Publisher(Protocol):
    """Takes CloudEvents; each may be given more than once."""

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Hand an event over for good; raises `EventsUnavailable` where it is not certain that it was taken."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


class MemoryPublisher:
    """Keeps events in a list: for tests, and for the console page of a laptop."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Keep the event."""
        self.events.append(event)

    async def aclose(self) -> None:
        """Hold nothing that would have to be closed."""


class FilePublisher:
    """Appends events to a file, one JSON line each."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Append the event."""
        await asyncio.to_thread(self._append, json.dumps(event, separators=(",", ":")) + "\n")

    async def aclose(self) -> None:
        """Hold nothing that would have to be closed."""

    def _append(self, line: str) -> None:
        with self._path.open("a", encoding="ascii") as lines:
            lines.write(line)
