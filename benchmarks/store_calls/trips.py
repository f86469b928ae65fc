"""Counts calls of the store, and how many of them had to wait for one another."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from shared.storage.port import Table

T = TypeVar("T")


@dataclass(slots=True)
class _Call:
    table: Table
    began: int
    ended: int


class Trips:
    """Goes around the calls of an `ObservedStore`; calls are known by the order of their beginnings and ends."""

    def __init__(self) -> None:
        self._moments = count()
        self._calls: list[_Call] = []

    async def __call__(self, table: Table, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call and write down when it began and ended."""
        began = next(self._moments)
        try:
            return await call()
        finally:
            self._calls.append(_Call(table, began, next(self._moments)))

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()

    def total(self, *tables: Table) -> int:
        """How many calls there were, of these tables or of all."""
        return len(self._of(tables))

    def in_sequence(self, *tables: Table) -> int:
        """The longest chain of calls of which each began after the one before had ended: round trips."""
        trips, free = 0, -1
        for call in self._of(tables):
            if call.began > free:
                trips, free = trips + 1, call.ended
        return trips

    def _of(self, tables: tuple[Table, ...]) -> list[_Call]:
        # In the order of their ends, in which taking each that fits gives the longest chain.
        return [call for call in self._calls if not tables or call.table in tables]
