"""Where a run begins: each somewhere else, so that a table too long for one run is purged all the same."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from purge_expired.use_case import MARGIN_MS, Bounds, purge_expired
from shared.access import Caller
from shared.storage.azure_table import open_table_store
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, RoundStore, SearchableStore, Table
from shared.storage.tables.rows import partition
from tests.purge_expired.conftest import app_over
from tests.purge_expired.test_use_case import add, left
from tests.support.azurite import Azurite
from tests.support.time import FakeClock


@pytest.fixture
async def tables(azurite: Azurite) -> AsyncIterator[SearchableStore]:
    prefix = f"t{secrets.token_hex(6)}"
    opened = open_table_store(azurite.connection_string, prefix=prefix, create_tables=True)
    yield opened
    await opened.aclose()


@pytest.mark.parametrize("table", Table)
@pytest.mark.parametrize("start", [0.0, 0.31, 0.75, 0.9999])
async def test_walk_begins_where_it_is_told_and_goes_round(
    tables: SearchableStore, table: Table, start: float
) -> None:
    """Every row that is over comes once, those of the partitions from the start on first; no other row comes."""
    over = await add(tables, table, 40, 1_000)
    await add(tables, table, 3, 2_000)
    assert isinstance(tables, RoundStore)

    found = [entity async for entity in tables.expired_from(start, table, 2_000)]

    partitions = [partition(table, entity.key) for entity in found]
    pivot = f"{int(start * 256):02x}"
    assert sorted(entity.key for entity in found) == sorted(over)
    assert partitions == sorted(partitions, key=lambda name: (name < pivot, name))


async def test_walk_through_throttle_rows_begins_at_each_kind_and_digit_in_turn(
    tables: SearchableStore,
) -> None:
    """These rows share a partition: where walks begin, spread evenly, each kind of key comes first in some."""
    app = app_over(tables, FakeClock())
    for number in range(12):
        caller = Caller(f"caller-{number}", f"192.0.2.{number}")
        device = await app.pseudonyms.of("device", str(number))
        for subject in await app.subjects.of_create(device, caller.principal, caller.network):
            await tables.insert(Table.THROTTLE, Entity(subject.key, {"created": "1"}, 1_000))
    assert isinstance(tables, RoundStore)

    walks = [tables.expired_from(number / 60, Table.THROTTLE, 2_000) for number in range(60)]
    first = Counter([(await anext(walk)).key for walk in walks])

    # Of 36 rows in places that chance chose, some lie so close together that no walk begins between them.
    assert len(first) >= 12
    kinds = Counter(key.split("-")[0] for key in first.elements())
    assert set(kinds) == {"client", "device", "principal"}
    assert min(kinds.values()) >= 8
    await app.aclose()


async def test_runs_that_are_never_finished_get_everywhere(clock: FakeClock) -> None:
    """Where a run has time for a small part of the table, the runs of some days have still seen all of it."""

    class Circle(MemoryStore):
        """A store whose walk is long: each run ends after a part of the way, found something or not."""

        async def expired_from(self, start: float, table: Table, before: int) -> AsyncIterator[Entity]:
            """Answer only what lies within a twentieth of the way."""
            for position in range(20):
                row = await self.get(table, f"row-{(round(start * 400) + position) % 400}")
                if row and row.expires_at < before:
                    yield row

    store = Circle()
    app = app_over(store, clock)
    for number in range(400):
        await store.insert(Table.SESSIONS, Entity(f"row-{number}", {}, clock() - 2 * MARGIN_MS))

    for _ in range(48):
        clock.advance_seconds(3_600)
        await purge_expired(app, Bounds())

    assert await left(store, Table.SESSIONS) == set()
    await app.aclose()
