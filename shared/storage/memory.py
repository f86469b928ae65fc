"""The entity store of one process, for tests and for a laptop."""

from collections.abc import AsyncIterator, Sequence
from itertools import count

from shared.errors import EntityChanged, EntityExists
from shared.storage.port import Entity, Table
from shared.storage.rules import require_batch, require_key, require_read, require_storable


class MemoryStore:
    """An `EntityStore` in dictionaries; its rules about etags are those of Table Storage."""

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
        for entity in entities:
            self._require_unchanged(table, entity.key, entity.etag)
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

    def _require_unchanged(self, table: Table, key: str, etag: str) -> None:
        stored = self._tables[table].get(key)
        if (stored.etag if stored else "") != etag:
            raise EntityChanged

    def _put(self, table: Table, entity: Entity) -> Entity:
        stored = Entity(entity.key, dict(entity.values), entity.expires_at, f"m{next(self._etags)}")
        self._tables[table][entity.key] = stored
        return stored
