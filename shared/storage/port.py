"""What the broker asks of a store: entities under keys, replaced only by who has read them last."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, runtime_checkable

Value = str | int | float | bool
"""What one property of an entity holds: what Table Storage can store without loss."""


class Table(Enum):
    """The tables, by the names that they have in the storage account."""

    SESSIONS = "sessions"
    THROTTLE = "throttle"
    IDEMPOTENCY = "idempotency"


@dataclass(frozen=True, slots=True)
class Entity:
    """One row.

    `key` is up to 128 characters of `0-9 a-z -`. `expires_at` (unix milliseconds) is when the row stops
    meaning anything, and may be deleted by the retention job. `etag` is what the store gave with it; empty:
    not stored yet. `shared.storage.rules` holds what the values may be; stores raise `ValueError` for others.
    """

    key: str
    values: Mapping[str, Value]
    expires_at: int
    etag: str = field(default="", compare=False)


class EntityStore(Protocol):
    """Stored entities.

    Each method raises `StorageUnavailable` where the store does not answer usably in time. A write that ends
    so may have been applied all the same. `EntityExists` and `EntityChanged` are never the answer to a change
    that the same call made.
    """

    async def get(self, table: Table, key: str) -> Entity | None:
        """Read one entity, or None where there is none."""
        ...

    async def insert(self, table: Table, entity: Entity) -> Entity:
        """Store a new entity and return it with its etag; raises `EntityExists`."""
        ...

    async def replace(self, table: Table, entity: Entity) -> Entity:
        """Replace the entity read with this etag and return it with the new one; raises `EntityChanged`."""
        ...

    async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        """Insert (no etag) or replace (etag) all of them or none; raises `EntityChanged` for any lost race.

        At most 100 entities with different keys, in a table whose rows share a partition.
        """
        ...

    async def delete(self, table: Table, key: str, etag: str | None = None) -> None:
        """Delete an entity, with an etag only as it was read (`EntityChanged`); none there is fine."""
        ...

    async def delete_together(self, table: Table, entities: Sequence[Entity]) -> int:
        """Delete those of the entities that are still as they were read; return how many went."""
        ...

    def expired(self, table: Table, before: int) -> AsyncIterator[Entity]:
        """Go through the entities whose `expires_at` lies before a time in unix milliseconds."""
        ...

    async def check(self) -> None:
        """Ask the store for a sign of life."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


class SearchableStore(EntityStore, Protocol):
    """An `EntityStore` that an operator may search; no request does, because a search reads a whole table."""

    def between(self, table: Table, name: str, low: int, high: int) -> AsyncIterator[Entity]:
        """Go through the entities whose integer value `name` is at least `low`, and less than `high`."""
        ...


@runtime_checkable
class RoundStore(Protocol):
    """What a store has besides `EntityStore` where a walk through a table may be too long to be finished."""

    def expired_from(self, start: float, table: Table, before: int) -> AsyncIterator[Entity]:
        """Go through what `expired` does, beginning at a part (0 to 1) of the way and going round to there."""
        ...
