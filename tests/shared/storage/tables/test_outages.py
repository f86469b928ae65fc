"""The store goes away and comes back, over Azurite."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from shared.errors import EntityChanged, StorageUnavailable
from shared.storage.azure_table import open_table_store
from shared.storage.port import Entity, EntityStore, Table
from tests.support.azurite import Azurite

NEW = Entity("a", {"number": 1}, 1)


@pytest.fixture
def kept_azurite() -> Iterator[Azurite]:
    """An Azurite of this test's own, whose rows outlive a restart."""
    with Azurite(keep=True) as running:
        yield running


@pytest.fixture
async def kept_store(kept_azurite: Azurite) -> AsyncIterator[EntityStore]:
    opened = open_table_store(kept_azurite.connection_string, create_tables=True)
    yield opened
    await opened.aclose()


async def test_store_that_comes_back_has_its_rows(kept_azurite: Azurite, kept_store: EntityStore) -> None:
    """During the outage each call fails; afterwards the same store goes on, with the etags of before."""
    before = await kept_store.insert(Table.SESSIONS, NEW)

    await asyncio.to_thread(kept_azurite.stop)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await kept_store.get(Table.SESSIONS, "a")
        with pytest.raises(StorageUnavailable):
            await kept_store.replace(Table.SESSIONS, before)
    await asyncio.to_thread(kept_azurite.start)

    after = await kept_store.replace(Table.SESSIONS, replace(before, values={"number": 2}))
    assert await kept_store.get(Table.SESSIONS, "a") == after


async def test_write_to_a_hanging_store_may_be_applied_later(azurite: Azurite, prefix: str) -> None:
    """The write is given up at the deadline and happens all the same: its caller finds it when reading again."""
    store = open_table_store(azurite.connection_string, prefix=prefix, create_tables=True, deadline=0.3)
    patient = open_table_store(azurite.connection_string, prefix=prefix, create_tables=True)
    before = await patient.insert(Table.SESSIONS, NEW)
    await store.check()
    with azurite.hanging():
        for operation in (store.get(Table.SESSIONS, "a"), store.check()):
            with pytest.raises(StorageUnavailable):
                await operation
        with pytest.raises(StorageUnavailable):
            await store.replace(Table.SESSIONS, replace(before, values={"number": 2}))

    found = await patient.get(Table.SESSIONS, "a")

    assert found is not None
    assert found.values["number"] in (1, 2)
    if found.values["number"] == 2:
        with pytest.raises(EntityChanged):
            await patient.replace(Table.SESSIONS, before)
    for one in (store, patient):
        await one.aclose()


async def test_two_stores_that_make_the_same_table_both_succeed(azurite: Azurite) -> None:
    """Processes that start together find the table missing together."""
    prefix = f"t{secrets.token_hex(6)}"
    stores = [
        open_table_store(azurite.connection_string, prefix=prefix, create_tables=True) for _ in range(4)
    ]

    inserted = await asyncio.gather(
        *(store.insert(Table.SESSIONS, Entity(f"row-{number}", {}, 1)) for number, store in enumerate(stores))
    )

    assert len(inserted) == 4
    for store in stores:
        await store.aclose()
