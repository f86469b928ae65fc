"""The store's time, learned from its answers: instances whose clocks differ agree on it."""

from typing import Final

from shared.clock import Clock
from shared.times import from_http_date

_RESOLUTION_MS: Final = 1000
_UNKNOWN_MS: Final = 2**62


class StoreTime:
    """A clock of this machine, put right where the `Date` of the store's answers proves it wrong.

    An answer that was asked for at `sent`, came at `received` and says `date` (whole seconds) proves that the
    store's clock is ahead of this one by at least `date - received` and by less than `date + 1 s - sent`. The
    bounds of all answers are cut with each other, and the clock is moved by as little as they allow: one that
    is right is not moved, another one is off by a second and a round trip at most, and by ever less with each
    answer.
    """

    def __init__(self, clock: Clock) -> None:
        self.local = clock
        self._low, self._high = -_UNKNOWN_MS, _UNKNOWN_MS

    def now(self) -> int:
        """Answer the store's time in unix milliseconds: a `Clock`."""
        return self.local() + self.offset_ms

    @property
    def offset_ms(self) -> int:
        """What is added to this machine's time."""
        return min(max(0, self._low), self._high)

    def observe(self, sent: int, received: int, date: str | None) -> None:
        """Learn from an answer: when it was asked for and came by the local clock, and its `Date`."""
        stamp = from_http_date(date)
        if stamp is None or received < sent:
            return
        low, high = stamp - received, stamp + _RESOLUTION_MS - 1 - sent
        if low > self._high or high < self._low:
            # It contradicts the answers before it: one of the clocks was set anew.
            self._low, self._high = low, high
        else:
            self._low, self._high = max(low, self._low), min(high, self._high)
