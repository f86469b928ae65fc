"""A deliberate caller, who knows the algorithm and times each request."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from benchmarks.fleet.algorithms import Algorithm, ExactLog, FixedWindow, SlidingCounter, TokenBucket
from shared.throttle.policy import Window

WINDOW: Final = Window.parse("5/10m")

ALGORITHMS: Final[dict[str, Callable[[Window], Algorithm]]] = {
    "broker (log of admissions)": ExactLog,
    "fixed window": FixedWindow,
    "sliding counter": SlidingCounter,
    "token bucket": TokenBucket,
}

_STEP_MS = 10_000
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Pattern:
    """Make `calls` at once at `first`, then one every ten seconds from `again` on; times in milliseconds."""

    calls: int
    first: int
    again: int

    def times(self, until: int) -> Iterator[int]:
        """The times of the calls before a time."""
        return chain([self.first] * self.calls, range(self.again, until, _STEP_MS))


@dataclass(frozen=True, slots=True)
class Worst:
    """The most admissions in any window over all patterns, with their pattern.

    `fewest` is how few had been admitted in the window before a refusal: less than the limit is too early.
    """

    pattern: Pattern
    most: int
    fewest: int


def worst_case(make: Callable[[Window], Algorithm], window: Window = WINDOW) -> Worst:
    """Try every pattern on a fresh state each."""
    outcomes = [_try(make(window), pattern, window) for pattern in _patterns(window)]
    most = max(outcomes, key=lambda tried: tried.most)
    return Worst(most.pattern, most.most, min(tried.fewest for tried in outcomes))


def in_window(admitted: Sequence[int], at: int, window: Window = WINDOW) -> int:
    """Count the admissions in the window that ends with a time, that time included; sorted times."""
    return bisect_right(admitted, at) - bisect_right(admitted, at - window.period_ms)


def _patterns(window: Window) -> Iterator[Pattern]:
    """Every number of early calls, at many places in a window of the clock, and pauses of up to a window and a half."""
    for calls in range(1, window.limit + 1):
        for first in range(0, window.period_ms, _MINUTE_MS):
            # A caller of a fixed window aims at the last step before the clock's window ends.
            for begin in (first, first + _MINUTE_MS - _STEP_MS):
                for pause in range(_STEP_MS, window.period_ms * 3 // 2, _MINUTE_MS):
                    yield Pattern(calls, begin, begin + pause)


def _try(algorithm: Algorithm, pattern: Pattern, window: Window) -> Worst:
    admitted: list[int] = []
    fewest = window.limit
    for now in pattern.times(4 * window.period_ms):
        # From an hour on, so that no algorithm takes the first window for one that began at zero.
        if algorithm.wait(now + 6 * window.period_ms) == 0:
            algorithm.take(now + 6 * window.period_ms)
            admitted.append(now)
        else:
            fewest = min(fewest, in_window(admitted, now, window))
    return Worst(pattern, max(in_window(admitted, at, window) for at in admitted), fewest)
