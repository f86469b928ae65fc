"""Refusals that this instance remembers, so that a flood of refused calls costs no store call."""

from collections.abc import Iterator, Sequence

from shared.recent import Recent
from shared.throttle.decision import Refusal
from shared.throttle.model import Subject


class Refusals:
    """At most `size` keys with the refusals of their limits, until these end."""

    def __init__(self, size: int) -> None:
        self._by_key: Recent[str, tuple[Refusal, ...]] = Recent(size)

    def __len__(self) -> int:
        return len(self._by_key)

    def remember(self, refusal: Refusal, now: int) -> None:
        """Keep a refusal, in place of what was known of the same limit."""
        key = refusal.subject.key
        others = [
            other
            for other in self._by_key.get(key) or ()
            if other.until > now and other.limit != refusal.limit
        ]
        self._by_key.put(key, (*others, refusal))

    def of(self, subjects: Sequence[Subject], now: int) -> list[Refusal]:
        """Answer what still refuses these subjects; a limit with another policy is another limit."""
        if not self._by_key:
            return []
        return [refusal for subject in subjects for refusal in self._of(subject, now)]

    def forget(self, key: str) -> None:
        """Drop what is remembered of a key."""
        self._by_key.forget(key)

    def _of(self, subject: Subject, now: int) -> Iterator[Refusal]:
        for refusal in self._by_key.get(subject.key) or ():
            if refusal.until > now and refusal.limit in subject.limits:
                yield refusal
