"""Structured log events: one JSON line each, identifiers and never objects, nothing secret."""

import json
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from shared.clock import Clock
from shared.release import RELEASE
from shared.text import rfc3339

Field = str | int | float | bool | None

_CHATTY = ("azure", "httpcore", "httpx", "msal")
_MOST_KEPT = 100
_MINUTE_MS = 60_000
_FIRST_LINES = 5
_MOST_SUBJECTS = 200


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
        """Keep a line with its time, which is earlier than that of its log record will be."""
        self._kept.append((logger, level, {**fields, "at": rfc3339(self._clock())}))


@dataclass(slots=True)
class _Subject:
    """What was logged about a subject since a minute began, and the last line that was left out."""

    ends_at: int
    lines: int = 0
    left_out: int = 0
    last: tuple[logging.Logger, int, str, Mapping[str, Field]] | None = None


class FloodLog:
    """Logs the first five lines about each subject in a minute, and counts the others.

    So a flood of refused requests neither uses up the daily volume of the workspace nor hides what else happens. The
    last line that was left out is logged after the minute, with the number of all of them as `times`. Beyond 200
    subjects in a minute, all others count as one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._subjects: dict[tuple[str | None, ...], _Subject] = {}

    def write(
        self,
        logger: logging.Logger,
        level: int,
        event: str,
        subject: tuple[str | None, ...],
        **fields: Field,
    ) -> bool:
        """Log a line about a subject, or count it; returns whether it was logged."""
        now = self._clock()
        self._log_counts(now)
        key = (event, *subject)
        if key not in self._subjects and len(self._subjects) >= _MOST_SUBJECTS:
            key = (event,)
        seen = self._subjects.setdefault(key, _Subject(now + _MINUTE_MS))
        if seen.lines < _FIRST_LINES:
            seen.lines += 1
            log_event(logger, level, event, **fields)
            return True
        seen.left_out += 1
        seen.last = (logger, level, event, fields)
        return False

    def _log_counts(self, now: int) -> None:
        """Log what was left out in the minutes that have ended. The subjects are in the order of their ends."""
        for key, seen in list(self._subjects.items()):
            if seen.ends_at > now:
                return
            del self._subjects[key]
            if seen.last:
                logger, level, event, fields = seen.last
                log_event(logger, level, event, **fields, times=seen.left_out)


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
