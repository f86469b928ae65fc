"""The contract of every entity store, over memory and Azurite."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from shared.errors import EntityChanged, EntityExists
from shared.storage.port import Entity, EntityStore, SearchableStore, Table, Value

PAST, NOW, FUTURE = 1_000, 2_000, 3_000

VALUES: tuple[Value, ...] = (
    *("", "x" * 32_768, "\U0001f642" * 16_384, "ä 漢字 \U0001f642 \u202e", "'\"\\/?#&%20 <a>\r\n\t\x00\x7f"),
    *("2026-11-23T00:00:00Z", "123", True, False, 1.0, 0.1, -1.7976931348623157e308, 5e-324),
    *(0, -1, 2**31, 2**63 - 1, -(2**63)),
)

each_table = pytest.mark.parametrize("table", Table, ids=lambda table: table.value)


def entity(key: str, expires_at: int = FUTURE, **values: Value) -> Entity:
    return Entity(key, values, expires_at)


async def stored(store: EntityStore, table: Table, keys: Sequence[str]) -> list[Entity]:
    return [await store.insert(table, entity(key)) for key in keys]


async def changed(store: EntityStore, table: Table, before: Entity) -> Entity:
    return await store.replace(table, replace(before, values={"changed": True}))


async def keys_in(store: EntityStore, table: Table) -> list[str]:
    return sorted([found.key async for found in store.expired(table, 2**62)])


@each_table
async def test_missing_entity_reads_as_none(store: EntityStore, table: Table) -> None:
    assert await store.get(table, "nothing") is None
    assert await keys_in(store, table) == []


@each_table
async def test_inserted_entity_reads_back_as_it_was_returned(store: EntityStore, table: Table) -> None:
    """Each value that a property may hold comes back unchanged with its type, and so do the end and the etag."""
    values = {f"value_{number}": value for number, value in enumerate(VALUES)}
    inserted = await store.insert(table, Entity("a-1", values, FUTURE))

    found = await store.get(table, "a-1")

    assert found == inserted == Entity("a-1", values, FUTURE)
    assert found.etag == inserted.etag != ""
    assert [type(found.values[name]) for name in values] == [type(value) for value in VALUES]


@pytest.mark.parametrize(
    "key", ["-", "0", "a--b-", "f" * 128, "b12e033e-bda7-4b83-a211-e721c661f30e"], ids=lambda key: key[:8]
)
async def test_key_of_the_allowed_characters_names_one_entity(store: EntityStore, key: str) -> None:
    """A key works in each operation, and separately in each table."""
    first = await store.insert(Table.SESSIONS, entity(key))
    await store.insert(Table.THROTTLE, entity(key))

    await store.delete(Table.SESSIONS, key, (await changed(store, Table.SESSIONS, first)).etag)

    assert await store.get(Table.SESSIONS, key) is None
    assert await store.get(Table.THROTTLE, key) == entity(key)


async def test_replace_leaves_no_former_value(store: EntityStore) -> None:
    """A replaced entity holds the new values alone, under a new etag that the next replace takes."""
    first = await store.insert(Table.SESSIONS, entity("a", old=1))

    second = await store.replace(Table.SESSIONS, replace(first, values={"new": 2}, expires_at=NOW))
    third = await store.replace(Table.SESSIONS, replace(second, values={"newer": 3}))

    assert len({first.etag, second.etag, third.etag}) == 3
    assert await store.get(Table.SESSIONS, "a") == entity("a", NOW, newer=3)


async def _exists(store: EntityStore) -> Entity:
    await store.insert(Table.THROTTLE, entity("lost"))
    return entity("lost", mine=True)


async def _was_replaced(store: EntityStore) -> Entity:
    old = await store.insert(Table.THROTTLE, entity("lost"))
    await changed(store, Table.THROTTLE, old)
    return old


async def _was_deleted(store: EntityStore) -> Entity:
    old = await store.insert(Table.THROTTLE, entity("lost"))
    await store.delete(Table.THROTTLE, "lost")
    return old


each_lost_race = pytest.mark.parametrize(
    "lose", [_exists, _was_replaced, _was_deleted], ids=lambda lose: lose.__name__[1:]
)


@each_lost_race
@pytest.mark.parametrize("position", [0, 2], ids=["first", "last"])
async def test_write_that_lost_its_race_changes_nothing(
    store: EntityStore, lose: Callable[[EntityStore], Awaitable[Entity]], position: int
) -> None:
    """The loser gets an error, alone or wherever it is in a transaction; the others in it are not written.

    The error names its place.
    """
    kept = await store.insert(Table.THROTTLE, entity("kept", number=1))
    lost = await lose(store)
    batch = [entity("new"), replace(kept, values={"number": 2})]
    batch.insert(position, lost)
    lost_before = await store.get(Table.THROTTLE, "lost")

    with pytest.raises(EntityChanged if lost.etag else EntityExists):
        await (store.replace if lost.etag else store.insert)(Table.THROTTLE, lost)
    for together in ([lost], batch):
        with pytest.raises(EntityChanged) as changed:
            await store.write_together(Table.THROTTLE, together)
        assert changed.value.index == together.index(lost)

    found = await store.get(Table.THROTTLE, "kept")
    assert (found, found and found.etag) == (kept, kept.etag)
    assert await store.get(Table.THROTTLE, "new") is None
    assert await store.get(Table.THROTTLE, "lost") == lost_before


@pytest.mark.parametrize("verb", ["insert", "replace", "write_together"])
async def test_racing_writes_have_one_winner(store: EntityStore, verb: str) -> None:
    old = entity("a") if verb == "insert" else await store.insert(Table.THROTTLE, entity("a"))

    async def attempt(number: int) -> Entity:
        new = replace(old, values={"number": number})
        if verb == "write_together":
            return (await store.write_together(Table.THROTTLE, [new, entity(f"b-{number}")]))[0]
        return await (store.insert if verb == "insert" else store.replace)(Table.THROTTLE, new)

    outcomes = await asyncio.gather(*map(attempt, range(8)), return_exceptions=True)

    winners = [outcome for outcome in outcomes if isinstance(outcome, Entity)]
    lost = EntityExists if verb == "insert" else EntityChanged
    assert [type(outcome) for outcome in outcomes].count(lost) == 7
    assert winners == [await store.get(Table.THROTTLE, "a")]
    assert len(await keys_in(store, Table.THROTTLE)) == 1 + (verb == "write_together")


@pytest.mark.parametrize("count", [0, 1, 2, 100])
async def test_write_together_inserts_and_replaces(store: EntityStore, count: int) -> None:
    """New and read entities may be mixed; they come back in their order with their new etags."""
    rows = [entity(f"row-{number}", number=number) for number in range(count)]
    rows[::2] = await store.write_together(Table.THROTTLE, rows[::2])
    changes = [replace(row, values={"number": -1}) for row in rows]

    written = await store.write_together(Table.THROTTLE, changes)

    assert written == changes
    found = [await store.get(Table.THROTTLE, row.key) for row in rows]
    assert [(row and row.values, row and row.etag) for row in found] == [
        (row.values, row.etag) for row in written
    ]


async def test_delete_with_an_etag_deletes_that_version_only(store: EntityStore) -> None:
    """A changed entity stays, and a missing one is no error; without an etag any version goes."""
    for etag_given in (True, False):
        old = await store.insert(Table.SESSIONS, entity("a"))
        new = await changed(store, Table.SESSIONS, old)
        with pytest.raises(EntityChanged):
            await store.delete(Table.SESSIONS, "a", old.etag)
        assert await store.get(Table.SESSIONS, "a") == new

        for _ in range(2):
            await store.delete(Table.SESSIONS, "a", new.etag if etag_given else None)
            assert await store.get(Table.SESSIONS, "a") is None


@pytest.mark.parametrize("table", [Table.SESSIONS, Table.THROTTLE], ids=lambda table: table.value)
async def test_delete_together_leaves_what_is_not_as_it_was_read(store: EntityStore, table: Table) -> None:
    """Of more rows than a transaction holds, no changed, deleted, never stored or repeated one is counted."""
    rows = await stored(store, table, [f"row-{number}" for number in range(130)])
    for number in (3, 17, 129):
        await changed(store, table, rows[number])
    await store.delete(table, "row-20")

    assert await store.delete_together(table, []) == 0
    deleted = await store.delete_together(table, [*rows, entity("row-21"), entity("never-stored"), rows[0]])

    assert deleted == 126
    assert await keys_in(store, table) == ["row-129", "row-17", "row-3"]


async def test_expired_finds_more_than_a_page_holds(store: EntityStore) -> None:
    """More entities than a page of the service (1,000) come once each, with values and etag."""
    for batch in range(11):
        ended = [entity(f"ended-{batch}-{number}", PAST, batch=batch) for number in range(100)]
        await store.write_together(Table.THROTTLE, ended)
    await store.write_together(Table.THROTTLE, [entity("now", NOW), entity("future", FUTURE)])

    found = [one async for one in store.expired(Table.THROTTLE, NOW)]

    assert len(found) == len({one.key for one in found}) == 1_100
    assert {(one.expires_at, one.values["batch"]) for one in found} == {(PAST, batch) for batch in range(11)}
    assert all(one.etag for one in found)


@each_table
async def test_expired_begins_at_the_start_and_goes_round(store: EntityStore, table: Table) -> None:
    """From every start each expired row comes once; not every walk begins with the same row."""
    kinds = ("client", "device", "principal")
    over = [f"{kinds[number % 3]}-{number * 6:02x}" for number in range(40)]
    for key in over:
        await store.insert(table, entity(key, PAST))
    await store.insert(table, entity("device-00-live", NOW))

    walks = [
        [one.key async for one in store.expired(table, NOW, start=start)]
        for start in (0.0, 0.31, 0.75, 0.9999)
    ]

    assert [sorted(walk) for walk in walks] == [sorted(over)] * 4
    assert len({walk[0] for walk in walks}) > 1


@pytest.mark.parametrize("expires_at", [0, -1, 1, 2**31, 1_800_000_000_000, 2**63 - 1])
async def test_expired_compares_times_as_numbers(store: EntityStore, expires_at: int) -> None:
    """A row of any time expires before the next millisecond, and not before its own."""
    await store.insert(Table.SESSIONS, entity("a", expires_at))

    assert [one.key async for one in store.expired(Table.SESSIONS, expires_at)] == []
    if expires_at < 2**63 - 1:
        assert [one.key async for one in store.expired(Table.SESSIONS, expires_at + 1)] == ["a"]


REFUSED: dict[str, Callable[[EntityStore], Awaitable[object]]] = {
    "get": lambda store: store.get(Table.SESSIONS, "A"),
    "insert": lambda store: store.insert(Table.SESSIONS, entity("a", value=2**63)),
    "replace unread": lambda store: store.replace(Table.SESSIONS, entity("a")),
    "replace": lambda store: store.replace(Table.SESSIONS, Entity("a", {"x": "x" * 32_769}, 1, "m1")),
    "write one": lambda store: store.write_together(Table.THROTTLE, [entity("a_b")]),
    "write": lambda store: store.write_together(Table.THROTTLE, [entity("a"), entity("a_b")]),
    "same key": lambda store: store.write_together(Table.THROTTLE, [entity("a"), entity("a")]),
    "too many": lambda store: store.write_together(Table.THROTTLE, [entity(f"{n}") for n in range(101)]),
    "delete": lambda store: store.delete(Table.SESSIONS, ""),
    "delete unread": lambda store: store.delete(Table.SESSIONS, "a", ""),
}


@pytest.mark.parametrize("operation", REFUSED.values(), ids=REFUSED)
async def test_entity_that_breaks_the_rules_is_refused(
    store: EntityStore, operation: Callable[[EntityStore], Awaitable[object]]
) -> None:
    """Every store refuses what one of them could not keep, so the first test of a mistake shows it."""
    with pytest.raises(ValueError, match=r"\w"):
        await operation(store)


async def test_between_finds_rows_by_a_value_from_a_start_to_before_an_end(store: SearchableStore) -> None:
    """What is found is whole: it can be replaced. A row without the value is in no range."""
    for at in (999, 1_000, 1_999, 2_000):
        await store.insert(Table.SESSIONS, entity(f"row-{at}", at=at, x="y"))
    await store.insert(Table.SESSIONS, entity("none", other=1_500))

    found = [one async for one in store.between(Table.SESSIONS, "at", 1_000, 2_000)]
    everything = [one async for one in store.between(Table.SESSIONS, "at", -(2**63), 2**63 - 1)]

    assert sorted(found, key=lambda one: one.key) == [
        entity("row-1000", at=1_000, x="y"),
        entity("row-1999", at=1_999, x="y"),
    ]
    assert len(everything) == 4
    assert await store.replace(Table.SESSIONS, found[0])
