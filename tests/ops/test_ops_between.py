"""Searching a table by a range of values, over each store."""

from shared.storage.port import Entity, SearchableStore, Table

FUTURE = 2**62


async def keys_between(store: SearchableStore, low: int, high: int) -> list[str]:
    return sorted([found.key async for found in store.between(Table.SESSIONS, "at", low, high)])


async def test_range_takes_its_start_and_not_its_end(searchable: SearchableStore) -> None:
    """The range is half-open, so that ranges which meet select each row once."""
    for at in (999, 1_000, 1_001, 1_999, 2_000):
        await searchable.insert(Table.SESSIONS, Entity(f"row-{at}", {"at": at}, FUTURE))

    assert await keys_between(searchable, 1_000, 2_000) == ["row-1000", "row-1001", "row-1999"]


async def test_row_without_the_value_is_in_no_range(searchable: SearchableStore) -> None:
    """A row that does not have the value is not found."""
    await searchable.insert(Table.SESSIONS, Entity("none", {"other": 5}, FUTURE))
    await searchable.insert(Table.SESSIONS, Entity("five", {"at": 5}, FUTURE))

    assert await keys_between(searchable, -(2**63), 2**63 - 1) == ["five"]


async def test_found_row_can_be_replaced(searchable: SearchableStore) -> None:
    """What is found is whole: values, end and etag."""
    await searchable.insert(Table.SESSIONS, Entity("row", {"at": 1_800_000_000_000, "x": "y"}, FUTURE))

    found = [one async for one in searchable.between(Table.SESSIONS, "at", 0, 2**62)]

    assert found == [Entity("row", {"at": 1_800_000_000_000, "x": "y"}, FUTURE)]
    assert await searchable.replace(Table.SESSIONS, found[0])
