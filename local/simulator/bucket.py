"""The rate limit of a Face resource, as a token bucket."""

from local.simulator.clock import Clock


class TokenBucket:
    """Admits `rate` calls a second on average, and a burst of as many (but at least one).

    A phone's check costs several calls at once: it is admitted when one call would be, and leaves the bucket
    in debt.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._capacity = max(rate, 1.0)
        self._level = self._capacity
        self._clock = clock
        self._filled_ms = clock()

    def take(self, calls: int = 1) -> float:
        """Admit `calls` and answer 0, or answer the seconds until one would be admitted."""
        self._fill()
        if self._level < 1:
            return (1 - self._level) / self._rate
        self._level -= calls
        return 0.0

    def _fill(self) -> None:
        now = self._clock()
        added = max(0, now - self._filled_ms) / 1000 * self._rate
        self._level = min(self._capacity, self._level + added)
        self._filled_ms = now
