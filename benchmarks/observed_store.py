"""An entity store around another one, so that calls can be counted, or take their time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from shared.storage.port import Entity, EntityStore, Table

T = TypeVar("T")


class Around(Protocol):
    """What happens to each call of the store."""

    async def __call__(self, table: Table, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make the call, once; `key` is that of its first entity, or empty."""
        ...


class ObservedStore:
    """An `EntityStore` that makes each call of another one through `around`."""

    def __init__(self, inner: EntityStore, around: Around) -> None:
        self._inner = inner
        self._around = around

    async def get(self, table: Table, key: str) -> Entity | None:
        """Read one entity."""
        return await self._around(table, key, lambda: self._inner.get(table, key))

    async def insert(self, table: Table, entity: Entity) -> Entity:
        """Store a new entity."""
        return await self._around(table, entity.key, lambda: self._inner.insert(table, entity))

    async def replace(self, table: Table, entity: Entity) -> Entity:
        """Replace the entity that was read with this etag."""
        return await self._around(table, entity.key, lambda: self._inner.replace(table, entity))

    async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        """Insert or replace all of them, or none: one call."""
        return await self._around(
            table, _first(entities), lambda: self._inner.write_together(table, entities)
        )

    async def delete(self, table: Table, key: str, etag: str | None = None) -> None:
        """Delete an entity, whether or not it is there."""
        await self._around(table, key, lambda: self._inner.delete(table, key, etag))

    async def delete_together(self, table: Table, entities: Sequence[Entity]) -> int:
        """Delete those that are still as they were read."""
        return await self._around(
            table, _first(entities), lambda: self._inner.delete_together(table, entities)
        )

    def expired(self, table: Table, before: int, start: float = 0.0) -> AsyncIterator[Entity]:
        """Go through the entities that mean nothing any more; on nobody's request path, and not observed."""
        return self._inner.expired(table, before, start)

    async def check(self) -> None:
        """Check the other store; on nobody's request path, and not observed."""
        await self._inner.check()

    async def aclose(self) -> None:
        """Close the other store."""
        await self._inner.aclose()


def _first(entities: Sequence[Entity]) -> str:
    return entities[0].key if entities else ""
