"""A deliberate caller: who knows the algorithm, and asks when it pays."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from benchmarks.fleet.algorithms import (
    Algorithm,
    ExactLog,
    FixedWindow,
    HalfBucket,
    SlidingCounter,
    TokenBucket,
)
from shared.throttle.policy import Window

WINDOW: Final = Window.parse("5/10m")

ALGORITHMS: Final[dict[str, Callable[[Window], Algorithm]]] = {
    "broker (log of admissions)": ExactLog,
    "fixed window": FixedWindow,
    "sliding counter": SlidingCounter,
    "token bucket": TokenBucket,
    "token bucket, half as deep": HalfBucket,
}

_STEP_MS: Final = 10_000
"""How often the caller asks, once it does not stop any more; all times are multiples of this."""

_MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Pattern:
    """Ask `calls` times at once at `first`, then from `again` on without end; milliseconds after a window began."""

    calls: int
    first: int
    again: int

    def times(self, until: int) -> Iterator[int]:
        """When the caller asks, before a time."""
        return chain([self.first] * self.calls, range(self.again, until, _STEP_MS))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a pattern: when calls were admitted, and how few had been at worst when one was refused.

    `early` is when calls were refused although fewer than the limit had been admitted in the window before.
    """

    pattern: Pattern
    admitted: tuple[int, ...]
    early: tuple[int, ...]
    most: int
    fewest: int


@dataclass(frozen=True, slots=True)
class Worst:
    """Over all patterns: the one with most admissions in any window, and the earliest refusal.

    `fewest` is how many had been admitted in the window before that refusal: less than the limit is too early.
    """

    outcome: Outcome
    fewest: int


def worst_case(make: Callable[[Window], Algorithm], window: Window = WINDOW) -> Worst:
    """Try every pattern on a fresh state each."""
    outcomes = [_try(make(window), pattern, window) for pattern in patterns(window)]
    return Worst(max(outcomes, key=_badness), min(tried.fewest for tried in outcomes))


def patterns(window: Window = WINDOW) -> Iterator[Pattern]:
    """Every number of early calls, at many places in a window of the clock, and pauses of up to a window and a half."""
    for calls in range(1, window.limit + 1):
        for first in range(0, window.period_ms, _MINUTE_MS):
            # The last step before the clock's window ends is what a caller of a fixed window aims at.
            for begin in (first, first + _MINUTE_MS - _STEP_MS):
                for pause in range(_STEP_MS, window.period_ms * 3 // 2, _MINUTE_MS):
                    yield Pattern(calls, begin, begin + pause)


def in_window(admitted: tuple[int, ...], at: int, window: Window = WINDOW) -> int:
    """Count what was admitted in the window that ends with a time, that time included; sorted times."""
    return bisect_right(admitted, at) - bisect_right(admitted, at - window.period_ms)


def _badness(tried: Outcome) -> tuple[int, ...]:
    """Prefer, among those that get equally many, who is refused too early, asks often, late in the window, and soon."""
    pattern = tried.pattern
    return tried.most, -tried.fewest, pattern.calls, pattern.first, -pattern.again


def _try(algorithm: Algorithm, pattern: Pattern, window: Window) -> Outcome:
    admitted: list[int] = []
    early: list[int] = []
    fewest = window.limit
    for now in pattern.times(4 * window.period_ms):
        # From an hour on, so that no algorithm takes the first window for one that began at zero.
        if algorithm.wait(now + 6 * window.period_ms) == 0:
            algorithm.take(now + 6 * window.period_ms)
            admitted.append(now)
        elif (count := len(admitted) - bisect_right(admitted, now - window.period_ms)) < window.limit:
            early.append(now)
            fewest = min(fewest, count)
    stamps = tuple(admitted)
    return Outcome(pattern, stamps, tuple(early), max(in_window(stamps, at, window) for at in stamps), fewest)
