"""The memory store and Azurite give the same answers to random operations."""

import asyncio
import secrets
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Outcome
from shared.storage.port import Entity, EntityStore, MemoryStore, Table
from tests.support.azurite import Azurite

KEYS = ("a", "b-1", "c")


Step = tuple[str, dict[str, bool], int]
"""An operation, its keys, each with whether it uses the newest or the oldest version, and a number to write."""

steps = st.tuples(
    st.sampled_from(["insert", "replace", "write_together", "delete", "delete_any", "delete_together"]),
    st.dictionaries(st.sampled_from(KEYS), st.booleans(), min_size=1),
    st.integers(-(2**63), 2**63 - 1),
)


class Run:
    """One store, with all versions of its entities that it returned."""

    def __init__(self, store: EntityStore) -> None:
        self.store = store
        self._versions: dict[str, list[Entity]] = {}

    async def apply(self, step: Step) -> object:
        """Do a step, and return its result in a form that does not depend on the store."""
        try:
            return await self._apply(step)
        except Outcome as outcome:
            return type(outcome).__name__

    async def rows(self) -> list[Entity]:
        found = [row async for row in self.store.expired(Table.THROTTLE, 2**63 - 1)]
        return sorted(found, key=lambda row: row.key)

    async def _apply(self, step: Step) -> object:
        verb, keys, number = step
        picked = [self._pick(key, fresh, number) for key, fresh in keys.items()]
        one = picked[0]
        match verb:
            case "insert":
                return self._remember([await self.store.insert(Table.THROTTLE, replace(one, etag=""))])
            case "replace" if one.etag:
                return self._remember([await self.store.replace(Table.THROTTLE, one)])
            case "write_together":
                return self._remember(await self.store.write_together(Table.THROTTLE, picked))
            case "delete" if one.etag:
                await self.store.delete(Table.THROTTLE, one.key, one.etag)
            case "delete_any":
                await self.store.delete(Table.THROTTLE, one.key)
            case "delete_together":
                return await self.store.delete_together(Table.THROTTLE, picked)
        return None

    def _pick(self, key: str, fresh: bool, number: int) -> Entity:
        versions = self._versions.get(key, [])
        etag = versions[-1 if fresh else 0].etag if versions else ""
        return Entity(key, {"number": number}, number, etag)

    def _remember(self, entities: list[Entity]) -> list[Entity]:
        for entity in entities:
            self._versions.setdefault(entity.key, []).append(entity)
        return entities


@settings(max_examples=30)
@given(plan=st.lists(steps, min_size=1, max_size=12))
def test_any_operations_end_the_same_in_both_stores(azurite: Azurite, plan: list[Step]) -> None:
    async def compare() -> None:
        prefix = f"t{secrets.token_hex(6)}"
        memory = Run(MemoryStore())
        table = Run(azurite.account.open_tables(prefix=prefix))
        for step in plan:
            assert await table.apply(step) == await memory.apply(step)
        assert await table.rows() == await memory.rows()
        await table.store.aclose()

    asyncio.run(compare())
