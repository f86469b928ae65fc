"""The double of the entity store."""

from collections.abc import AsyncIterator, Sequence

from shared.storage.port import Entity, MemoryStore, SearchableStore, Table
from tests.support.intercepted import Call, Intercepted


class FakeStore(Intercepted):
    """A store in memory, or over another one, whose calls a test can watch, fail, lose and delay."""

    def __init__(self, over: SearchableStore | None = None) -> None:
        super().__init__()
        self.inner = over or MemoryStore()

    async def get(self, table: Table, key: str) -> Entity | None:
        return await self.intercept(Call("get", table, (key,)), lambda: self.inner.get(table, key))

    async def insert(self, table: Table, entity: Entity) -> Entity:
        return await self.intercept(
            Call("insert", table, (entity.key,)), lambda: self.inner.insert(table, entity)
        )

    async def replace(self, table: Table, entity: Entity) -> Entity:
        return await self.intercept(
            Call("replace", table, (entity.key,)), lambda: self.inner.replace(table, entity)
        )

    async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        keys = tuple(entity.key for entity in entities)
        return await self.intercept(
            Call("write_together", table, keys), lambda: self.inner.write_together(table, entities)
        )

    async def delete(self, table: Table, key: str, etag: str | None = None) -> None:
        await self.intercept(Call("delete", table, (key,)), lambda: self.inner.delete(table, key, etag))

    async def delete_together(self, table: Table, entities: Sequence[Entity]) -> int:
        keys = tuple(entity.key for entity in entities)
        return await self.intercept(
            Call("delete_together", table, keys), lambda: self.inner.delete_together(table, entities)
        )

    async def expired(self, table: Table, before: int, start: float = 0.0) -> AsyncIterator[Entity]:
        """Go through the entities that expired; each step of the walk is a call."""
        rows = self.inner.expired(table, before, start)
        while found := await self.intercept(Call("expired", table), lambda: anext(rows, None)):
            yield found

    async def between(self, table: Table, name: str, low: int, high: int) -> AsyncIterator[Entity]:
        """Go through the entities with a value in a range; the walk is one call, which may fail at its begin."""
        await self.intercept(Call("between", table), _nothing)
        async for found in self.inner.between(table, name, low, high):
            yield found

    async def check(self) -> None:
        await self.intercept(Call("check"), self.inner.check)

    async def aclose(self) -> None:
        await self.inner.aclose()


async def _nothing() -> None:
    pass
