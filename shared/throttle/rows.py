"""Throttle rows: what is stored for a device, caller or address, and what this instance knows of it."""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import accumulate, pairwise
from typing import Final, Self

from cachetools import LRUCache

from shared.errors import StorageUnavailable
from shared.storage.port import Entity, EntityStore, Table, Value
from shared.text import LATEST
from shared.throttle.policy import MAX_LIMIT, Log
from shared.values import immutable

_LOG: Final = re.compile(rf"(?:[0-9a-f]{{1,12}}(?:\.[0-9a-f]{{1,12}}){{0,{MAX_LIMIT - 1}}})?")


@immutable
class Row:
    """One log for each limit, by its name; from `expires_at` (unix milliseconds) on the row can be deleted.

    `etag` is the one of the stored row; it is empty where no row is stored.
    """

    key: str
    logs: Mapping[str, Log]
    expires_at: int = 0
    etag: str = ""

    @classmethod
    def of(cls, entity: Entity) -> Self:
        """Read a stored row; raises a lasting `StorageUnavailable` for content that is not a row's.

        Such content is never read as an empty row, because that would admit a caller that has used up its limit.
        """
        try:
            logs = {name: decode(value) for name, value in entity.values.items()}
        except ValueError as error:
            raise StorageUnavailable(
                "a throttle row holds something that is not a log", lasting=True
            ) from error
        if not logs:
            raise StorageUnavailable("a throttle row holds no log", lasting=True)
        return cls(entity.key, logs, entity.expires_at, entity.etag)

    def entity(self) -> Entity:
        """Make the entity to store."""
        values = {name: encode(log) for name, log in self.logs.items()}
        return Entity(self.key, values, self.expires_at, self.etag)

    def with_log(self, name: str, log: Log, expires_at: int = 0) -> Self:
        """Return the row with another log under a name.

        `expires_at` never goes back: the other logs may matter for longer than this one.
        """
        return type(self)(self.key, {**self.logs, name: log}, max(self.expires_at, expires_at), self.etag)


class Rows:
    """Reads and writes throttle rows, and caches those that were used last.

    `cached` is the size of the cache. A row weighs one, and one more for each entry in its logs.
    """

    def __init__(self, store: EntityStore, cached: int) -> None:
        self._store = store
        self._cache: LRUCache[str, Row] = LRUCache(cached, getsizeof=_weight)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._lock_users: Counter[str] = Counter()

    @asynccontextmanager
    async def locked(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Keep the other tasks of this instance away from these rows; they wait in order of arrival."""
        # All tasks take their locks in the same order, so that no two wait for each other.
        ordered = sorted(set(keys))
        held: list[asyncio.Lock] = []
        self._lock_users.update(ordered)
        try:
            for lock in [self._locks[key] for key in ordered]:
                await lock.acquire()
                held.append(lock)
            yield
        finally:
            for lock in held:
                lock.release()
            self._lock_users.subtract(ordered)
            for key in ordered:
                if not self._lock_users[key]:
                    del self._lock_users[key], self._locks[key]

    def cached(self, keys: Iterable[str]) -> dict[str, Row]:
        """Return the rows as this instance knows them; a row that it does not know is empty."""
        return {key: self._cache.get(key) or Row(key, {}) for key in keys}

    async def read(self, keys: Collection[str]) -> dict[str, Row]:
        """Read rows from the store; a row that is not there is empty. Raises `StorageUnavailable`."""
        reads = [self._store.get(Table.THROTTLE, key) for key in keys]
        # All reads end before one of them fails the request: nothing runs on after the response.
        found = await asyncio.gather(*reads, return_exceptions=True)
        rows: dict[str, Row] = {}
        for key, entity in zip(keys, found, strict=True):
            if isinstance(entity, BaseException):
                raise entity
            rows[key] = Row.of(entity) if entity else Row(key, {})
            if entity:
                self._cache[key] = rows[key]
        return rows

    async def write(self, rows: Collection[Row]) -> None:
        """Write all rows under their etags, or none; raises `EntityChanged` and `StorageUnavailable`."""
        # After a failed or cancelled write nobody knows what is stored.
        for row in rows:
            self._cache.pop(row.key, None)
        stored = await self._store.write_together(Table.THROTTLE, [row.entity() for row in rows])
        for row, entity in zip(rows, stored, strict=True):
            self._cache[row.key] = Row(row.key, row.logs, row.expires_at, entity.etag)


def encode(log: Log) -> str:
    """Write a log as its first time and the steps from there, in hexadecimal: `19aaf3d2c01.0.3e8`."""
    if not log:
        return ""
    return ".".join([f"{log[0]:x}", *[f"{later - earlier:x}" for earlier, later in pairwise(log)]])


def decode(text: Value) -> Log:
    """Read what `encode` wrote; raises `ValueError` for anything else."""
    if not isinstance(text, str) or not _LOG.fullmatch(text):
        raise ValueError("not a log of admissions")
    log = tuple(accumulate(int(step, 16) for step in text.split("."))) if text else ()
    if log and log[-1] > LATEST:
        raise ValueError("a time that no clock shows")
    return log


def _weight(row: Row) -> int:
    return 1 + sum(map(len, row.logs.values()))
