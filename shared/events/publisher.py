"""The port that events are published through, and its adapters for a laptop."""

import asyncio
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from shared.errors import EventsUnavailable


class Publisher(Protocol):
    """Takes CloudEvents; the same event may come more than once."""

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Publish an event; raises `EventsUnavailable` unless it was certainly taken."""

    async def aclose(self) -> None:
        """Close connections."""


class MemoryPublisher:
    """Keeps events in a list: for tests and for the console page."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Keep the event."""
        self.events.append(event)

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""


class FilePublisher:
    """Appends events to a file, one JSON line each; several processes may write to the same file."""

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
        """Do nothing: nothing is open."""

    def _append(self, line: bytes) -> None:
        # Without a buffer a line is one write, which no other process can split.
        with self._path.open("ab", buffering=0) as lines:
            if lines.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
