"""A store that counts, waits and fails; a clock that stands still; subjects as the use-cases build them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from shared.errors import ClientThrottled, DeviceThrottled, EntityChanged, StorageUnavailable
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, Table
from shared.throttle import Admission, Limit, Limiter, Policy, Subject
from shared.throttle.policy import Log
from shared.throttle.rows import decode

T = TypeVar("T")

START = 1_790_000_000_000


class VirtualTime:
    """A clock that moves only when told to; sleeping lets others run, and is written down."""

    def __init__(self, now: int = START) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await turns(3)


class FakeStore(MemoryStore):
    """A memory store that takes `delay()` turns of the loop before and after each call has its effect.

    `trips` counts calls one after another: those that overlap count as one. `lost_races` writes are refused
    as if another instance had been faster. `failing` is raised instead of any effect. `before_write` and
    `after_write` run around the effect of a write.
    """

    def __init__(self, delay: Callable[[], int] = lambda: 1) -> None:
        super().__init__()
        self.gets = 0
        self.writes = 0
        self.trips = 0
        self.largest_write = 0
        self.lost_races = 0
        self.failing: Exception | None = None
        self.before_write: Callable[[], Awaitable[None]] | None = None
        self.after_write: Callable[[], Awaitable[None]] | None = None
        self.on_change: Callable[[], None] = lambda: None
        self._delay = delay
        self._in_flight = 0

    @property
    def calls(self) -> int:
        """All calls."""
        return self.gets + self.writes

    @property
    def content(self) -> dict[str, tuple[Entity, str]]:
        """What is stored, etags included."""
        return {key: (row, row.etag) for key, row in self._tables[Table.THROTTLE].items()}

    def log(self, key: str, name: str = "created") -> Log:
        """Answer a stored log; empty where there is none."""
        entity = self._tables[Table.THROTTLE].get(key)
        return decode(entity.values.get(name, "")) if entity else ()

    def put(self, key: str, **values: str | int) -> None:
        """Store a row past the limiter, as an operator or another version would."""
        self._put(Table.THROTTLE, Entity(key, values, START))

    def remove(self, key: str) -> None:
        """Delete a row past the limiter, as the retention job would."""
        del self._tables[Table.THROTTLE][key]

    async def get(self, table: Table, key: str) -> Entity | None:
        self.gets += 1
        return await self._travel(super().get(table, key))

    async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        self.writes += 1
        self.largest_write = max(self.largest_write, len(entities))
        return await self._travel(self._write(table, entities))

    async def _write(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        if self.before_write:
            await self.before_write()
        if self.lost_races:
            self.lost_races -= 1
            raise EntityChanged
        stored = await super().write_together(table, entities)
        self.on_change()
        if self.after_write:
            await self.after_write()
        return stored

    async def _travel(self, effect: Coroutine[Any, Any, T]) -> T:
        self.trips += not self._in_flight
        self._in_flight += 1
        try:
            await turns(self._delay())
            if self.failing:
                raise self.failing
            return await effect
        finally:
            effect.close()
            await turns(self._delay())
            self._in_flight -= 1


async def turns(count: int) -> None:
    """Let everybody else run, this many times."""
    for _ in range(count):
        await asyncio.sleep(0)


DEVICE = Limit("device", Policy.parse("5/10m, 20/d"), "created", charged=True)
FAILURES = Limit("failures", Policy.parse("5/30m"), "failed", charged=False)
CLIENT = Limit("client", Policy.parse("60/10m"), "created", charged=True)


def device(name: str = "a", *limits: Limit) -> Subject:
    """Build a device's subject; with the default limits where none are given."""
    return Subject(f"device-{name}", limits or (DEVICE, FAILURES), DeviceThrottled)


def client(name: str = "a", *limits: Limit) -> Subject:
    """Build the subject of a client address."""
    return Subject(f"client-{name}", limits or (CLIENT,), ClientThrottled)


def limit(policy: str, name: str = "device", log: str = "created", *, charged: bool = True) -> Limit:
    """Build a limit from a policy's text."""
    return Limit(name, Policy.parse(policy), log, charged)


def limiter(store: FakeStore, time: VirtualTime, **options: int) -> Limiter:
    """Build a limiter without jitter."""
    return Limiter(store, time, random=lambda: 0.0, sleep=time.sleep, **options)


Outcome = Admission | DeviceThrottled | ClientThrottled | StorageUnavailable


async def attempt(limiter: Limiter, *subjects: Subject) -> Outcome:
    """Ask for admission, and answer what came of it."""
    try:
        return await limiter.admit(subjects)
    except (DeviceThrottled, ClientThrottled, StorageUnavailable) as refusal:
        return refusal
