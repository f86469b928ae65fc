"""Keyed entities with optimistic concurrency."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

Value = str | int | float | bool
"""The value of one property of an entity: types that Table Storage keeps without loss."""


class Table(Enum):
    """The tables, by their names in the storage account."""

    SESSIONS = "sessions"
    THROTTLE = "throttle"
    IDEMPOTENCY = "idempotency"


@dataclass(frozen=True, slots=True)
class Entity:
    """One row.

    `key` is 1 to 128 characters of `0-9 a-z -`. After `expires_at` (unix milliseconds) the row means nothing, and
    the retention job may delete it. The store sets `etag`; it is empty for an entity that is not stored yet. Stores
    raise `ValueError` for an entity that breaks the rules in `shared.storage.rules`.
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
        """Insert (no etag) or replace (etag) all of them or none; raises `EntityChanged` if any lost a race.

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
