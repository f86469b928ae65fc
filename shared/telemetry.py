"""Structured log events: one JSON line each, identifiers and never objects, nothing secret."""

import json
import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from shared.release import RELEASE
from shared.text import Clock, rfc3339

Field = str | int | float | bool | None

_CHATTY = ("azure", "msal")
_MOST_KEPT = 100
_MINUTE_MS = 60_000
_FIRST_LINES = 5
_MOST_LINES = 100
_SENDER = ("device", "caller", "address", "requestId")


@dataclass(eq=False, slots=True)
class _Invocation:
    """One run of a function; background work that it started goes on after it `ended`."""

    log: "BackgroundLog"
    ended: bool = False


_INVOCATION: ContextVar[_Invocation | None] = ContextVar("_INVOCATION", default=None)
"""The invocation that the running task belongs to; a task inherits it from the one that started it."""


class BackgroundLog:
    """Keeps the lines that background work logs after its invocation has ended, for the next invocation to write.

    The Functions host drops a line of an invocation that has ended
    (https://github.com/Azure/azure-functions-python-worker/issues/1860). At most the 100 newest lines are kept.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: deque[tuple[logging.Logger, int, Mapping[str, Field]]] = deque(maxlen=_MOST_KEPT)

    @contextmanager
    def invocation(self) -> Iterator[None]:
        """Write the lines that were kept; keep the ones that come after the end from the work started within."""
        invocation = _Invocation(self)
        token = _INVOCATION.set(invocation)
        while self._kept:
            _write(*self._kept.popleft())
        try:
            yield
        finally:
            invocation.ended = True
            _INVOCATION.reset(token)

    def keep(self, logger: logging.Logger, level: int, fields: Mapping[str, Field]) -> None:
        """Keep a line with its own time, because its log record is written later."""
        self._kept.append((logger, level, {**fields, "at": rfc3339(self._clock())}))


@dataclass(slots=True)
class _Group:
    """The lines of one group in this minute: how many were logged and left out, and the last one that was left out."""

    lines: int = 0
    left_out: int = 0
    last: tuple[logging.Logger, int, str, Mapping[str, Field]] | None = None


class FloodLog:
    """Logs the first five lines of each group in a minute, and counts the others.

    Lines with the same event, kind and sender are one group. So a flood of requests neither uses up the daily volume of
    the workspace nor hides what else happens. The last line that was left out is logged after the minute, with the
    number of all of them as `times`.

    An event has at most 100 lines in a minute. Further ones are counted for all senders of one kind together: there is
    one more line for each kind, which names no sender. A kind without senders keeps its fields.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends_at = 0
        self._lines: Counter[str] = Counter()
        self._groups: dict[tuple[str | None, ...], _Group] = {}

    def write(
        self,
        logger: logging.Logger,
        level: int,
        event: str,
        kind: tuple[str, ...],
        sender: str | None,
        **fields: Field,
    ) -> None:
        """Log a line, or count it as one of its group."""
        self._begin_minute()
        has_room = self._lines[event] < _MOST_LINES
        key = (event, *kind, sender)
        group = self._groups.get(key, _Group())
        if has_room and group.lines < _FIRST_LINES:
            group.lines += 1
            self._lines[event] += 1
            self._groups[key] = group
            log_event(logger, level, event, **fields)
            return
        if not group.left_out:
            if has_room:
                # The line with the count.
                self._lines[event] += 1
            elif sender is None:
                self._groups[key] = group
            else:
                group = self._groups.setdefault((event, *kind), _Group())
                fields = {name: value for name, value in fields.items() if name not in _SENDER}
        group.left_out += 1
        group.last = (logger, level, event, fields)

    def _begin_minute(self) -> None:
        """Log what was left out in the minute that has ended."""
        now = self._clock()
        # A clock that was set back begins a minute too.
        if self._ends_at - _MINUTE_MS <= now < self._ends_at:
            return
        groups = self._groups.values()
        self._ends_at, self._lines, self._groups = now + _MINUTE_MS, Counter(), {}
        for group in groups:
            if group.last:
                logger, level, event, fields = group.last
                log_event(logger, level, event, **fields, times=group.left_out)


def quiet_libraries() -> None:
    """Keep libraries from logging each request with its URL, which holds session ids, and its headers."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def log_event(logger: logging.Logger, level: int, event: str, **fields: Field) -> None:
    """Log a static event name with its fields as one line of ASCII JSON, so that no value can forge a line.

    Each line has the `commit` that runs, so that the lines of two releases can be told apart in one region.
    """
    if not logger.isEnabledFor(level):
        return
    named = {"event": event, **fields, "commit": RELEASE.commit}
    present = {name: value for name, value in named.items() if value is not None}
    invocation = _INVOCATION.get()
    if invocation is not None and invocation.ended:
        invocation.log.keep(logger, level, present)
    else:
        _write(logger, level, present)


def _write(logger: logging.Logger, level: int, fields: Mapping[str, Field]) -> None:
    logger.log(level, "%s", json.dumps(fields))
