"""What one instance does at most now and then for a key, so that nobody can make it do that at will."""

from shared.clock import Clock
from shared.recent import Recent


class Allowance:
    """Once in `every_ms` milliseconds for each key, as far as the `size` keys of the last uses go."""

    def __init__(self, clock: Clock, *, every_ms: int, size: int = 10_000) -> None:
        self._clock = clock
        self._every_ms = every_ms
        self._taken: Recent[str, int] = Recent(size)

    def take(self, key: str) -> bool:
        """Whether it may be done now for this key; then not again for a while."""
        now, taken = self._clock(), self._taken.get(key)
        # A time that is still to come was noted before the clock was set back.
        if taken is not None and 0 <= now - taken < self._every_ms:
            return False
        self._taken.put(key, now)
        return True
