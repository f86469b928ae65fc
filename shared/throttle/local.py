"""A limit that each instance keeps for itself, so that it costs no call of the store."""

from cachetools import LRUCache

from shared.text import Clock
from shared.throttle.policy import Log, Policy


class LocalLimit:
    """Counts under keys, in the memory of this instance, and forgets the keys that were not used for longest."""

    def __init__(self, limits: str, clock: Clock, *, keys: int = 10_000) -> None:
        self._policy = Policy.parse(limits)
        self._clock = clock
        self._logs: LRUCache[str, Log] = LRUCache(keys)

    def wait_ms(self, key: str) -> int:
        """In how many milliseconds one more is admitted under a key; 0 means now."""
        return self._policy.check(self._logs.get(key, ()), self._clock()).retry_after_ms

    def count(self, key: str) -> None:
        """Count one, whatever `wait_ms` says."""
        self._logs[key] = self._policy.admit(self._logs.get(key, ()), self._clock())
