"""What every entity store does, held over memory and Azurite alike."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from shared.errors import EntityChanged, EntityExists
from shared.storage.port import Entity, EntityStore, SearchableStore, Table, Value

PAST, NOW, FUTURE = 1_000, 2_000, 3_000


def entity(key: str, expires_at: int = FUTURE, **values: Value) -> Entity:
    return Entity(key, values, expires_at)


async def stored(store: EntityStore, table: Table, keys: Sequence[str]) -> list[Entity]:
    return list(await asyncio.gather(*(store.insert(table, entity(key)) for key in keys)))


async def changed(store: EntityStore, table: Table, before: Entity) -> Entity:
    return await store.replace(table, replace(before, values={"changed": True}))


async def keys_in(store: EntityStore, table: Table) -> list[str]:
    return sorted([found.key async for found in store.expired(table, 2**62)])


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


@pytest.mark.parametrize("table", Table, ids=lambda table: table.value)
async def test_key_without_an_entity_reads_as_none(store: EntityStore, table: Table) -> None:
    """Reading what is not there is an answer, also where the table itself is not there yet."""
    assert await store.get(table, "nothing") is None


@pytest.mark.parametrize("table", Table, ids=lambda table: table.value)
async def test_inserted_entity_reads_back_as_it_was_returned(store: EntityStore, table: Table) -> None:
    """The entity comes back with its values, its end, and the etag that the insert gave."""
    inserted = await store.insert(table, entity("a-1", name="x", count=1))

    found = await store.get(table, "a-1")

    assert found == inserted == entity("a-1", name="x", count=1)
    assert found.etag == inserted.etag != ""


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty-string"),
        pytest.param("x" * 32_768, id="longest-string"),
        pytest.param("\U0001f642" * 16_384, id="longest-string-of-surrogate-pairs"),
        pytest.param("ä 漢字 \U0001f642 \u202e", id="unicode"),
        pytest.param("'\"\\/?#&%20 <a>\r\n\t\x00\x1f\x7f", id="characters-with-a-meaning"),
        pytest.param("2026-11-23T00:00:00Z", id="string-like-a-date"),
        pytest.param("123", id="string-like-a-number"),
        pytest.param(0, id="zero"),
        pytest.param(-1, id="negative"),
        pytest.param(2**31, id="over-32-bits"),
        pytest.param(2**63 - 1, id="largest-integer"),
        pytest.param(-(2**63), id="smallest-integer"),
        pytest.param(1.0, id="whole-float"),
        pytest.param(0.1, id="float"),
        pytest.param(-1.7976931348623157e308, id="smallest-float"),
        pytest.param(5e-324, id="tiniest-float"),
        pytest.param(True, id="true"),
        pytest.param(False, id="false"),
    ],
)
async def test_value_comes_back_with_its_type(store: EntityStore, value: Value) -> None:
    """Whatever a property may hold is the same after storing it, and of the same type."""
    await store.insert(Table.SESSIONS, entity("a", value=value))

    found = await store.get(Table.SESSIONS, "a")

    assert found is not None
    assert found.values["value"] == value
    assert type(found.values["value"]) is type(value)


@pytest.mark.parametrize(
    "key", ["-", "0", "a--b-", "f" * 128, "b12e033e-bda7-4b83-a211-e721c661f30e"], ids=lambda key: key[:8]
)
async def test_key_of_the_allowed_characters_names_one_entity(store: EntityStore, key: str) -> None:
    """A key works for each operation, and in each table for itself."""
    first = await store.insert(Table.SESSIONS, entity(key))
    await store.insert(Table.THROTTLE, entity(key))

    await store.delete(Table.SESSIONS, key, (await changed(store, Table.SESSIONS, first)).etag)

    assert await store.get(Table.SESSIONS, key) is None
    assert await store.get(Table.THROTTLE, key) == entity(key)


async def test_insert_of_an_existing_key_raises_and_changes_nothing(store: EntityStore) -> None:
    """The second insert loses, and the row of the first stays."""
    await store.insert(Table.IDEMPOTENCY, entity("a", name="first"))

    with pytest.raises(EntityExists):
        await store.insert(Table.IDEMPOTENCY, entity("a", name="second"))

    assert await store.get(Table.IDEMPOTENCY, "a") == entity("a", name="first")


async def test_replace_leaves_nothing_of_the_former_values(store: EntityStore) -> None:
    """A replaced entity holds the new values alone, under a new etag that the next replace takes."""
    first = await store.insert(Table.SESSIONS, entity("a", old=1))

    second = await store.replace(Table.SESSIONS, replace(first, values={"new": 2}, expires_at=NOW))
    third = await store.replace(Table.SESSIONS, replace(second, values={"newer": 3}))

    assert len({first.etag, second.etag, third.etag}) == 3
    assert await store.get(Table.SESSIONS, "a") == entity("a", NOW, newer=3)


async def test_replace_of_a_changed_entity_raises_and_changes_nothing(store: EntityStore) -> None:
    """Who has read an older version loses."""
    old = await store.insert(Table.SESSIONS, entity("a"))
    new = await changed(store, Table.SESSIONS, old)

    with pytest.raises(EntityChanged):
        await store.replace(Table.SESSIONS, replace(old, values={"lost": True}))

    assert await store.get(Table.SESSIONS, "a") == new


async def test_replace_of_a_deleted_entity_raises_and_brings_nothing_back(store: EntityStore) -> None:
    """A row that is gone has changed."""
    old = await store.insert(Table.SESSIONS, entity("a"))
    await store.delete(Table.SESSIONS, "a")

    with pytest.raises(EntityChanged):
        await store.replace(Table.SESSIONS, old)

    assert await store.get(Table.SESSIONS, "a") is None


async def test_racing_inserts_have_one_winner(store: EntityStore) -> None:
    """Of inserts under one key at the same time exactly one is told that it succeeded."""
    outcomes = await asyncio.gather(
        *(store.insert(Table.IDEMPOTENCY, entity("a", number=number)) for number in range(8)),
        return_exceptions=True,
    )

    winners = [outcome for outcome in outcomes if isinstance(outcome, Entity)]
    assert [type(outcome) for outcome in outcomes].count(EntityExists) == 7
    assert winners == [await store.get(Table.IDEMPOTENCY, "a")]


@pytest.mark.parametrize("together", [False, True], ids=["replace", "write-together"])
async def test_racing_replaces_have_one_winner(store: EntityStore, together: bool) -> None:
    """Of replaces of one version at the same time exactly one succeeds, in a transaction or not."""
    old = await store.insert(Table.THROTTLE, entity("a"))

    async def attempt(number: int) -> Entity:
        new = replace(old, values={"number": number})
        if together:
            return (await store.write_together(Table.THROTTLE, [new, entity(f"b-{number}")]))[0]
        return await store.replace(Table.THROTTLE, new)

    outcomes = await asyncio.gather(*map(attempt, range(8)), return_exceptions=True)

    winners = [outcome for outcome in outcomes if isinstance(outcome, Entity)]
    assert [type(outcome) for outcome in outcomes].count(EntityChanged) == 7
    assert winners == [await store.get(Table.THROTTLE, "a")]
    assert len(await keys_in(store, Table.THROTTLE)) == 1 + together


async def test_write_together_inserts_and_replaces_in_one_go(store: EntityStore) -> None:
    """New and read entities may be mixed; they come back in their order, each with its new etag."""
    old = await store.insert(Table.THROTTLE, entity("b", old=1))

    written = await store.write_together(
        Table.THROTTLE, [entity("a", number=1), replace(old, values={"number": 2}), entity("c")]
    )

    assert written == [entity("a", number=1), entity("b", number=2), entity("c")]
    for one in written:
        found = await store.get(Table.THROTTLE, one.key)
        assert found == one
        assert found.etag == one.etag


@pytest.mark.parametrize("lose", [_exists, _was_replaced, _was_deleted], ids=lambda lose: lose.__name__[1:])
async def test_write_together_of_one_entity_loses_like_others(
    store: EntityStore, lose: Callable[[EntityStore], Awaitable[Entity]]
) -> None:
    """One entity is a transaction too: whatever race it loses, it is told as a change."""
    lost = await lose(store)
    before = await store.get(Table.THROTTLE, "lost")

    with pytest.raises(EntityChanged):
        await store.write_together(Table.THROTTLE, [lost])

    assert await store.get(Table.THROTTLE, "lost") == before


async def test_write_together_of_one_entity_inserts_and_replaces(store: EntityStore) -> None:
    """One entity is written as it would be among others."""
    [first] = await store.write_together(Table.THROTTLE, [entity("a", number=1)])
    [second] = await store.write_together(Table.THROTTLE, [replace(first, values={"number": 2})])

    assert await store.get(Table.THROTTLE, "a") == second == entity("a", number=2)


async def test_write_together_takes_a_hundred_and_none(store: EntityStore) -> None:
    """A transaction may be as large as the service allows, or empty."""
    many = [entity(f"row-{number}") for number in range(100)]

    assert await store.write_together(Table.THROTTLE, []) == []
    assert await store.write_together(Table.THROTTLE, many) == many

    assert len(await keys_in(store, Table.THROTTLE)) == 100


@pytest.mark.parametrize("lose", [_exists, _was_replaced, _was_deleted], ids=lambda lose: lose.__name__[1:])
@pytest.mark.parametrize("position", [0, 2], ids=["first", "last"])
async def test_write_together_with_one_lost_race_writes_nothing(
    store: EntityStore, lose: Callable[[EntityStore], Awaitable[Entity]], position: int
) -> None:
    """Wherever the lost entity stands in the transaction, the others are not written either."""
    kept = await store.insert(Table.THROTTLE, entity("kept", number=1))
    batch = [entity("new"), replace(kept, values={"number": 2})]
    batch.insert(position, await lose(store))
    lost_before = await store.get(Table.THROTTLE, "lost")

    with pytest.raises(EntityChanged):
        await store.write_together(Table.THROTTLE, batch)

    assert await store.get(Table.THROTTLE, "new") is None
    found = await store.get(Table.THROTTLE, "kept")
    assert found == kept
    assert found.etag == kept.etag
    assert await store.get(Table.THROTTLE, "lost") == lost_before


async def test_delete_without_an_etag_deletes_whatever_is_there(store: EntityStore) -> None:
    """Deleting works on any version, and again when nothing is left."""
    await changed(store, Table.SESSIONS, await store.insert(Table.SESSIONS, entity("a")))

    await store.delete(Table.SESSIONS, "a")
    await store.delete(Table.SESSIONS, "a")

    assert await store.get(Table.SESSIONS, "a") is None


async def test_delete_with_an_etag_deletes_that_version_only(store: EntityStore) -> None:
    """A changed entity stays, an unchanged one goes, and none there is fine."""
    old = await store.insert(Table.SESSIONS, entity("a"))
    new = await changed(store, Table.SESSIONS, old)

    with pytest.raises(EntityChanged):
        await store.delete(Table.SESSIONS, "a", old.etag)
    assert await store.get(Table.SESSIONS, "a") == new

    await store.delete(Table.SESSIONS, "a", new.etag)
    await store.delete(Table.SESSIONS, "a", new.etag)
    assert await store.get(Table.SESSIONS, "a") is None


@pytest.mark.parametrize("table", [Table.SESSIONS, Table.THROTTLE], ids=lambda table: table.value)
async def test_delete_together_leaves_what_is_not_as_it_was_read(store: EntityStore, table: Table) -> None:
    """Only unchanged rows go and are counted; changed, gone and never stored ones, and repeats, are not."""
    rows = await stored(store, table, [f"row-{number}" for number in range(40)])
    for number in (3, 17, 39):
        await changed(store, table, rows[number])
    await store.delete(table, "row-20")

    deleted = await store.delete_together(table, [*rows, entity("row-21"), entity("never-stored"), rows[0]])

    assert deleted == 36
    assert await keys_in(store, table) == ["row-17", "row-3", "row-39"]


async def test_delete_together_takes_more_than_one_transaction_holds(store: EntityStore) -> None:
    """Any number of entities can be given, none included."""
    written = await store.write_together(Table.THROTTLE, [entity(f"a-{number}") for number in range(100)])
    written += await store.write_together(Table.THROTTLE, [entity(f"b-{number}") for number in range(30)])

    assert await store.delete_together(Table.THROTTLE, []) == 0
    assert await store.delete_together(Table.THROTTLE, written) == 130

    assert await keys_in(store, Table.THROTTLE) == []


async def test_expired_goes_through_all_that_ended_before_a_time(store: EntityStore) -> None:
    """More entities than a page of the service (1,000) come once each, with values and etag; others do not come."""
    for batch in range(11):
        ended = [entity(f"ended-{batch}-{number}", PAST, batch=batch) for number in range(100)]
        await store.write_together(Table.THROTTLE, ended)
    await store.write_together(Table.THROTTLE, [entity("now", NOW), entity("future", FUTURE)])

    found = [one async for one in store.expired(Table.THROTTLE, NOW)]

    assert len(found) == len({one.key for one in found}) == 1_100
    assert {(one.expires_at, one.values["batch"]) for one in found} == {(PAST, batch) for batch in range(11)}
    assert all(one.etag for one in found)


@pytest.mark.parametrize("expires_at", [0, -1, 1, 2**31, 1_800_000_000_000, 2**63 - 1])
async def test_expired_compares_times_as_numbers(store: EntityStore, expires_at: int) -> None:
    """Whatever the size of a time, the row comes for the next millisecond and not for its own."""
    await store.insert(Table.SESSIONS, entity("a", expires_at))

    assert [one.key async for one in store.expired(Table.SESSIONS, expires_at)] == []
    if expires_at < 2**63 - 1:
        assert [one.key async for one in store.expired(Table.SESSIONS, expires_at + 1)] == ["a"]


async def test_expired_can_be_left_at_any_point(store: EntityStore) -> None:
    """Nothing is held by a walk that is given up, and rows may be deleted meanwhile."""
    await stored(store, Table.SESSIONS, [f"row-{number}" for number in range(5)])

    async for one in store.expired(Table.SESSIONS, 2**62):
        await store.delete(Table.SESSIONS, one.key, one.etag)
        break

    assert len(await keys_in(store, Table.SESSIONS)) == 4


async def test_expired_of_an_empty_table_is_empty(store: EntityStore) -> None:
    """There is nothing to go through where nothing was ever stored."""
    assert await keys_in(store, Table.SESSIONS) == []


async def test_check_of_a_store_that_is_there_succeeds(store: EntityStore) -> None:
    """A sign of life needs no entity and leaves none."""
    await store.check()

    assert await keys_in(store, Table.SESSIONS) == []


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(lambda store: store.get(Table.SESSIONS, "A"), id="get"),
        pytest.param(lambda store: store.insert(Table.SESSIONS, entity("a", value=2**63)), id="insert"),
        pytest.param(lambda store: store.replace(Table.SESSIONS, entity("a")), id="replace-without-etag"),
        pytest.param(
            lambda store: store.replace(Table.SESSIONS, Entity("a", {"x": "x" * 32_769}, 1, "m1")),
            id="replace",
        ),
        pytest.param(
            lambda store: store.write_together(Table.THROTTLE, [entity("a_b")]), id="write-together"
        ),
        pytest.param(
            lambda store: store.write_together(Table.THROTTLE, [entity("a"), entity("a")]),
            id="same-key-twice",
        ),
        pytest.param(
            lambda store: store.write_together(
                Table.THROTTLE, [entity(f"{number}") for number in range(101)]
            ),
            id="over-a-hundred",
        ),
        pytest.param(lambda store: store.delete(Table.SESSIONS, ""), id="delete"),
        pytest.param(lambda store: store.delete(Table.SESSIONS, "a", ""), id="delete-without-etag"),
    ],
)
async def test_entity_that_breaks_the_rules_is_refused(
    store: EntityStore, operation: Callable[[EntityStore], Awaitable[object]]
) -> None:
    """What one store could not keep, none takes: such a mistake shows in the first test that makes it."""
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
