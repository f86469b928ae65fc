"""Refusals that this instance remembers, so that a flood of refused calls costs hardly a store call."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.recent import Recent
from shared.throttle.decision import Refusal
from shared.throttle.model import Subject

TRUSTED_MS: Final = 10_000
"""For how long a refusal is believed without another look: another instance may have taken a charge back."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A refusal, and when the request was made that it was given to first."""

    refusal: Refusal
    at: int

    def holds(self, now: int) -> bool:
        # What is still to come was asked before the clock was set back, or before it was right.
        return self.refusal.until > now and 0 <= now - self.at < TRUSTED_MS


class Refusals:
    """At most `size` keys with the refusals of their limits, until these end or were given ten seconds ago."""

    def __init__(self, size: int) -> None:
        self._by_key: Recent[str, tuple[_Remembered, ...]] = Recent(size)

    def __len__(self) -> int:
        return len(self._by_key)

    def remember(self, refusal: Refusal, at: int) -> None:
        """Keep the refusal of a request made at a time, in place of what was known of the same limit."""
        key = refusal.subject.key
        others = [
            other
            for other in self._by_key.get(key) or ()
            if other.holds(at) and other.refusal.limit != refusal.limit
        ]
        self._by_key.put(key, (*others, _Remembered(refusal, at)))

    def of(self, subjects: Sequence[Subject], now: int) -> list[Refusal]:
        """Answer what still refuses these subjects; a limit with another policy is another limit."""
        if not self._by_key:
            return []
        return [refusal for subject in subjects for refusal in self._of(subject, now)]

    def forget(self, key: str) -> None:
        """Drop what is remembered of a key."""
        self._by_key.forget(key)

    def _of(self, subject: Subject, now: int) -> Iterator[Refusal]:
        for remembered in self._by_key.get(subject.key) or ():
            if remembered.holds(now) and remembered.refusal.limit in subject.limits:
                yield remembered.refusal
