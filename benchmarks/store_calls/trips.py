"""Counts calls of the store and the queue, and how many of them had to wait for one another."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from shared.queues.port import MessageQueue
from shared.storage.port import Table

T = TypeVar("T")


@dataclass(slots=True)
class _Call:
    table: Table | None
    began: int
    ended: int


class Trips:
    """Goes around the calls of an `ObservedStore` and an `ObservedQueue`, and puts them in order.

    A round trip is a call that had to wait for the one before: what goes side by side is one trip.
    """

    def __init__(self) -> None:
        self._moments = count()
        self._calls: list[_Call] = []

    async def __call__(self, table: Table, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call of the store."""
        return await self.observe(table, call)

    async def observe(self, table: Table | None, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, of a table or of the queue (None), and write down when it began and ended."""
        began = next(self._moments)
        try:
            return await call()
        finally:
            self._calls.append(_Call(table, began, next(self._moments)))

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()

    @property
    def messages(self) -> int:
        """How many messages were sent."""
        return sum(call.table is None for call in self._calls)

    def total(self, *tables: Table) -> int:
        """How many calls of the store there were, of these tables or of all."""
        return sum(call.table is not None for call in self._of(tables))

    def in_sequence(self, *tables: Table) -> int:
        """The longest chain of calls of which each began after the one before had ended; messages count as well."""
        trips, free = 0, -1
        for call in self._of(tables):
            if call.began > free:
                trips, free = trips + 1, call.ended
        return trips

    def _of(self, tables: tuple[Table, ...]) -> list[_Call]:
        # In the order of their ends, in which taking each that fits gives the longest chain.
        return [call for call in self._calls if not tables or call.table in tables]


class ObservedQueue:
    """A `MessageQueue` that makes each call of another one through `Trips`."""

    def __init__(self, inner: MessageQueue, trips: Trips) -> None:
        self._inner = inner
        self._trips = trips

    async def send(self, text: str, delay_seconds: float) -> None:
        """Add a message that shows after a delay."""
        await self._trips.observe(None, lambda: self._inner.send(text, delay_seconds))

    async def check(self) -> None:
        """Ask the queue for a sign of life; not observed."""
        await self._inner.check()

    async def aclose(self) -> None:
        """Close the other queue."""
        await self._inner.aclose()
