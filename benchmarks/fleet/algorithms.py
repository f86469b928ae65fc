"""The usual ways to count, each over one window and one key: exact and shared, as no real store keeps them."""

from math import ceil
from typing import Protocol

from shared.throttle.policy import Log, Policy, Window


class Algorithm(Protocol):
    """One key's state; times are unix milliseconds."""

    def wait(self, now: int) -> int:
        """Return in how many milliseconds one more is admitted (0: now), if no other comes before."""
        ...

    def take(self, now: int) -> None:
        """Count one more, whatever `wait` says."""
        ...

    def give_back(self, now: int) -> None:
        """Take one back that was counted a moment ago."""
        ...


class ExactLog:
    """The broker's own policy."""

    def __init__(self, window: Window) -> None:
        self._policy = Policy((window,))
        self._log: Log = ()

    def wait(self, now: int) -> int:
        """Ask the policy, as the limiter does."""
        return max(0, self._policy.opens_at(self._log) - now)

    def take(self, now: int) -> None:
        """Enter it in the log."""
        self._log = self._policy.admit(self._log, now)

    def give_back(self, now: int) -> None:
        """Take the last entry out of the log."""
        self._log = self._log[:-1]


class SlidingCounter:
    """The count of this window of the clock, and as much of the last one's as the past period reaches into it."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._number = 0
        self._last = self._count = 0

    def wait(self, now: int) -> int:
        """Until enough of the last window, or else of this one, has gone by."""
        self._turn(now)
        limit, elapsed = self._window.limit, now % self._window.period_ms
        if self._count < limit:
            return self._gone_by(self._last, limit - 1 - self._count, elapsed)
        return self._window.period_ms - elapsed + self._gone_by(self._count, limit - 1, 0)

    def take(self, now: int) -> None:
        """Count it."""
        self._turn(now)
        self._count += 1

    def give_back(self, now: int) -> None:
        """Count it no more."""
        self._turn(now)
        self._count = max(0, self._count - 1)

    def _gone_by(self, count: int, room: int, elapsed: int) -> int:
        """Return in how many milliseconds no more than `room` of a window's `count` are left."""
        share = 1 - room / count if count > room else 0.0
        return max(0, ceil(share * self._window.period_ms) - elapsed)

    def _turn(self, now: int) -> None:
        if (number := now // self._window.period_ms) != self._number:
            self._last = self._count if number == self._number + 1 else 0
            self._number, self._count = number, 0


class FixedWindow(SlidingCounter):
    """A counter for each period of the clock, from :00, :10, :20 on, that forgets the last one."""

    def wait(self, now: int) -> int:
        """Until the window ends, if it is full."""
        self._turn(now)
        period = self._window.period_ms
        return 0 if self._count < self._window.limit else period - now % period


class TokenBucket:
    """A bucket as deep as the limit, refilled at the limit's rate; kept as the time at which it is full again."""

    def __init__(self, window: Window) -> None:
        self._depth = window.limit
        self._ms_per_token = ceil(window.period_ms / window.limit)
        self._full_at = 0

    def wait(self, now: int) -> int:
        """Until there is a whole token."""
        return max(0, self._full_at - (self._depth - 1) * self._ms_per_token - now)

    def take(self, now: int) -> None:
        """Take one out."""
        self._full_at = max(now, self._full_at) + self._ms_per_token

    def give_back(self, now: int) -> None:
        """Put one in."""
        self._full_at = max(now, self._full_at - self._ms_per_token)
