"""Keyed entities with optimistic concurrency: the port, the rules of each store, and the store of one process."""

import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import field
from enum import Enum
from itertools import count
from typing import Final, Protocol

from shared.errors import EntityChanged, EntityExists
from shared.values import immutable

Value = str | int | float | bool
"""The value of one property of an entity: types that Table Storage keeps without loss."""

# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_MAX_STRING_UNITS: Final = 32_768
# Of 255 properties the service uses three, and `expires_at` is one more.
_MAX_VALUES: Final = 251
MAX_TOGETHER: Final = 100
"""The most entities in one transaction."""

_KEY: Final = re.compile(r"[0-9a-z-]{1,128}")
_LONGEST_NAME: Final = 255
_RESERVED: Final = frozenset({"PartitionKey", "RowKey", "Timestamp", "expires_at"})
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**63 - 1


class Table(Enum):
    """The tables, by their names in the storage account."""

    SESSIONS = "sessions"
    THROTTLE = "throttle"
    IDEMPOTENCY = "idempotency"


@immutable
class Entity:
    """One row.

    `key` is 1 to 128 characters of `0-9 a-z -`. After `expires_at` (unix milliseconds) the row means nothing, and
    the retention job may delete it. The store sets `etag`; it is empty for an entity that is not stored yet. Stores
    raise `ValueError` for an entity that breaks the rules below, before they send anything.
    """

    key: str
    values: Mapping[str, Value]
    expires_at: int
    etag: str = field(default="", compare=False)


class EntityStore(Protocol):
    """Stored entities.

    Each method raises `StorageUnavailable` without a usable answer in time; such a write may have been applied all
    the same. `EntityExists` and `EntityChanged` always mean another writer.
    """

    async def get(self, table: Table, key: str) -> Entity | None:
        """Read one entity; None if it does not exist."""

    async def insert(self, table: Table, entity: Entity) -> Entity:
        """Store a new entity and return it with its etag; raises `EntityExists`."""

    async def replace(self, table: Table, entity: Entity) -> Entity:
        """Replace the entity read with this etag and return it with the new one; raises `EntityChanged`."""

    async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        """Insert (no etag) or replace (etag) all or none; raises `EntityChanged` for the first that lost a race.

        At most 100 entities with different keys, in a table whose rows share a partition.
        """

    async def delete(self, table: Table, key: str, etag: str | None = None) -> None:
        """Delete an entity if it exists; with an etag, raises `EntityChanged` if it is not as it was read."""

    async def delete_together(self, table: Table, entities: Sequence[Entity]) -> int:
        """Delete the entities that are still as they were read; return how many."""

    def expired(self, table: Table, before: int, start: float = 0.0) -> AsyncIterator[Entity]:
        """Go through the entities that expire before a time, beginning at a fraction `start` (0 to 1) of the table."""

    async def check(self) -> None:
        """Write one row and read it back, to see that rows can be written; raises `StorageUnavailable`."""

    async def aclose(self) -> None:
        """Close connections."""


class SearchableStore(EntityStore, Protocol):
    """An `EntityStore` that an operator may search; a search reads a whole table, so no request does."""

    def between(self, table: Table, name: str, low: int, high: int) -> AsyncIterator[Entity]:
        """Go through the entities whose integer value `name` is at least `low` and less than `high`."""


def require_key(key: str) -> None:
    """Raise `ValueError` for a key that is not 1 to 128 characters of `0-9 a-z -`."""
    if not _KEY.fullmatch(key):
        raise ValueError("an entity's key is 1 to 128 characters of 0-9, a-z and -")


def require_storable(entity: Entity) -> None:
    """Raise `ValueError`, naming the value, for an entity that Table Storage would refuse or change."""
    require_key(entity.key)
    if not _SMALLEST <= entity.expires_at <= _LARGEST:
        raise ValueError("expires_at: an integer has at most 64 bits")
    if len(entity.values) > _MAX_VALUES:
        raise ValueError(f"an entity has at most {_MAX_VALUES} values")
    for name, value in entity.values.items():
        # Every request stores some twenty values: a pattern for names takes five times as long, and most values are
        # short ASCII, numbers and flags, which cost no further call.
        is_name = name.isidentifier() and name.isascii() and len(name) <= _LONGEST_NAME
        if not is_name or name in _RESERVED:
            raise ValueError("the name of a value is an identifier that the store does not use itself")
        is_short = type(value) is str and len(value) <= _MAX_STRING_UNITS and value.isascii()
        is_number = type(value) is int and _SMALLEST <= value <= _LARGEST
        if not (is_short or is_number or type(value) is bool):
            _require_value(name, value)


def require_read(etag: str) -> str:
    """Return the etag; raises `ValueError` for an empty one, because such an entity was never read."""
    if not etag:
        raise ValueError("only an entity that was read from the store has an etag")
    return etag


def require_batch(entities: Sequence[Entity]) -> None:
    """Raise `ValueError` for more entities than one transaction takes, the same key twice, or one not storable."""
    if len(entities) > MAX_TOGETHER:
        raise ValueError(f"at most {MAX_TOGETHER} entities are written together")
    if len({entity.key for entity in entities}) < len(entities):
        raise ValueError("entities that are written together need different keys")
    for entity in entities:
        require_storable(entity)


def _require_value(name: str, value: Value) -> None:
    # Exact types: an enum or another subclass would come back as a different type.
    if type(value) is str:
        try:
            units = len(value.encode("utf-16-le")) // 2
        except UnicodeEncodeError:
            raise ValueError(f"{name}: a string is Unicode text, without lone surrogates") from None
        if units > _MAX_STRING_UNITS:
            raise ValueError(f"{name}: a string has at most {_MAX_STRING_UNITS} UTF-16 code units")
    elif type(value) is int:
        if not _SMALLEST <= value <= _LARGEST:
            raise ValueError(f"{name}: an integer has at most 64 bits")
    elif type(value) is float:
        if not math.isfinite(value):
            raise ValueError(f"{name}: a float is a finite number")
    elif type(value) is not bool:
        raise ValueError(f"{name}: a value is a str, int, float or bool")


class MemoryStore:
    """An `EntityStore` in dictionaries, for tests and a laptop; its rules about etags are those of Table Storage."""

    def __init__(self) -> None:
        self._tables: dict[Table, dict[str, Entity]] = {table: {} for table in Table}
        self._etags = count(1)

    async def get(self, table: Table, key: str) -> Entity | None:
        """Read one entity."""
        require_key(key)
        return self._tables[table].get(key)

    async def insert(self, table: Table, entity: Entity) -> Entity:
        """Store a new entity."""
        require_storable(entity)
        if entity.key in self._tables[table]:
            raise EntityExists
        return self._put(table, entity)

    async def replace(self, table: Table, entity: Entity) -> Entity:
        """Replace the entity that was read with this etag."""
        require_read(entity.etag)
        require_storable(entity)
        self._require_unchanged(table, entity.key, entity.etag)
        return self._put(table, entity)

    async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        """Insert or replace all of them, or none."""
        require_batch(entities)
        for index, entity in enumerate(entities):
            self._require_unchanged(table, entity.key, entity.etag, index)
        return [self._put(table, entity) for entity in entities]

    async def delete(self, table: Table, key: str, etag: str | None = None) -> None:
        """Delete an entity if it exists."""
        require_key(key)
        if etag is not None and require_read(etag) and key in self._tables[table]:
            self._require_unchanged(table, key, etag)
        self._tables[table].pop(key, None)

    async def delete_together(self, table: Table, entities: Sequence[Entity]) -> int:
        """Delete the entities that are still as they were read."""
        rows = self._tables[table]
        read = {entity.key: entity.etag for entity in entities if entity.etag}
        unchanged = [key for key, etag in read.items() if key in rows and rows[key].etag == etag]
        for key in unchanged:
            del rows[key]
        return len(unchanged)

    async def expired(self, table: Table, before: int, start: float = 0.0) -> AsyncIterator[Entity]:
        """Go through the entities that expired."""
        rows = list(self._tables[table].values())
        first = int(start * len(rows))
        for entity in rows[first:] + rows[:first]:
            if entity.expires_at < before:
                yield entity

    async def between(self, table: Table, name: str, low: int, high: int) -> AsyncIterator[Entity]:
        """Go through the entities with an integer value in a range."""
        for entity in list(self._tables[table].values()):
            value = entity.values.get(name)
            if type(value) is int and low <= value < high:
                yield entity

    async def check(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""

    def _require_unchanged(self, table: Table, key: str, etag: str, index: int = 0) -> None:
        stored = self._tables[table].get(key)
        if (stored.etag if stored else "") != etag:
            raise EntityChanged(index)

    def _put(self, table: Table, entity: Entity) -> Entity:
        stored = Entity(entity.key, dict(entity.values), entity.expires_at, f"m{next(self._etags)}")
        self._tables[table][entity.key] = stored
        return stored
