"""The store's time, learned from its answers: instances whose clocks differ agree on it."""

from dataclasses import dataclass
from typing import Final, Self

from shared.clock import Clock
from shared.text import from_http_date

_RESOLUTION_MS: Final = 1000

_SPREAD_MS: Final = 50
"""How far the clocks of the store's own front ends may be apart."""

_DRIFT: Final = 200e-6
"""How fast a clock may go wrong, as a part of the time that passes."""

_CONVINCING: Final = 5
"""How many answers in a row have to contradict what is known, and agree with each other, to be believed."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    """By how much the store's clock is ahead of this one: at least `low` and at most `high`, as of `at`."""

    low: float
    high: float
    at: int

    def aged(self, now: int) -> Self:
        """What is left of them at a later time: each clock has gone a little wrong meanwhile."""
        slack = _DRIFT * max(0, now - self.at)
        return type(self)(self.low - slack, self.high + slack, now)

    def cut(self, other: Self) -> Self | None:
        """What both allow, or None where they contradict each other."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return type(self)(low, high, other.at) if low <= high else None


class StoreTime:
    """A clock of this machine, put right where the `Date` of the store's answers proves it wrong.

    An answer that was asked for at `sent`, came at `received` and says `date` (whole seconds) proves that the
    store's clock is ahead of this one by at least `date - received` and by less than `date + 1 s - sent`, give
    or take what the store's front ends differ by. The bounds of all answers, which widen as they grow old, are
    cut with each other, and the clock is moved by as little as they allow: one that is right is not moved,
    another one is off by a second and a round trip at most, and by ever less with each answer.

    An answer that contradicts those before it moves nothing. A few in a row that agree with each other do: one
    of the clocks was set anew. Until the first answer, there is only the local time.
    """

    def __init__(self, clock: Clock) -> None:
        self.local = clock
        self._offset = 0
        self._known: _Bounds | None = None
        self._rival: _Bounds | None = None
        self._rivals = 0

    def now(self) -> int:
        """Answer the store's time in unix milliseconds: a `Clock`."""
        return self.local() + self._offset

    @property
    def offset_ms(self) -> int:
        """What is added to this machine's time."""
        return self._offset

    def observe(self, sent: int, received: int, date: str | None) -> None:
        """Learn from an answer: when it was asked for and came by the local clock, and its `Date`."""
        stamp = from_http_date(date)
        if stamp is None or received < sent:
            return
        low, high = stamp - received, stamp + _RESOLUTION_MS - 1 - sent
        told = _Bounds(low - _SPREAD_MS, high + _SPREAD_MS, received)
        agreed = self._known.aged(received).cut(told) if self._known else told
        if agreed is None:
            agreed = self._convinced(told)
        else:
            self._rivals = 0
        if agreed:
            self._known = agreed
            self._offset = round(min(max(self._offset, agreed.low), agreed.high))

    def _convinced(self, told: _Bounds) -> _Bounds | None:
        """What to believe from now on, where enough answers in a row tell another time."""
        agreed = self._rival.aged(told.at).cut(told) if self._rival and self._rivals else None
        self._rivals = self._rivals + 1 if agreed else 1
        self._rival = agreed or told
        if self._rivals < _CONVINCING:
            return None
        self._rivals = 0
        return self._rival
