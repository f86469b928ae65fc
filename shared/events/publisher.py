"""Who takes events: the port, and what a laptop has in place of Event Grid."""

import asyncio
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from shared.errors import EventsUnavailable


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
    """Appends events to a file, one JSON line each: whole lines, however many processes write to it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Append the event; raises `EventsUnavailable` where the file cannot be written."""
        line = json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            await asyncio.to_thread(self._append, line)
        except OSError as fault:
            raise EventsUnavailable(f"the file for events cannot be written: {fault.strerror}") from fault

    async def aclose(self) -> None:
        """Hold nothing that would have to be closed."""

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Without a buffer a line is one write, and what is appended in one write stays in one piece.
        with self._path.open("ab", buffering=0) as lines:
            if lines.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
