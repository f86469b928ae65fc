"""Stored rows, and the cache and locks of this instance."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import EntityChanged, StorageUnavailable
from shared.storage.port import Entity, Value
from shared.text import LATEST
from shared.throttle.rows import Row, Rows, decode, encode
from tests.support.intercepted import Call, Effect
from tests.support.store import FakeStore

logs = st.lists(st.integers(0, 2**45), max_size=50).map(lambda stamps: tuple(sorted(stamps)))


@given(st.dictionaries(st.sampled_from(["created", "failed"]), logs, min_size=1), st.integers(0, 2**45))
def test_row_comes_back_as_it_was_stored(content: dict[str, tuple[int, ...]], expires_at: int) -> None:
    """Times, expiry and etag survive."""
    row = Row("device-a", content, expires_at, "e1")
    assert Row.of(row.entity()) == row


def test_log_is_stored_as_a_time_and_steps() -> None:
    """The text is short, and plain to read in the table."""
    assert encode((0x19AAF3D2C01, 0x19AAF3D2C01, 0x19AAF3D2FE9)) == "19aaf3d2c01.0.3e8"
    assert encode(()) == ""
    assert decode(f"{LATEST:x}") == (LATEST,)


def test_largest_log_fits_into_a_property() -> None:
    """A property of Table Storage holds 32 Ki characters."""
    month = 31 * 86_400_000
    text = encode(tuple(1_790_000_000_000 + step * (month // 1000) for step in range(1000)))
    assert len(text) < 32 * 1024
    assert len(decode(text)) == 1000


@pytest.mark.parametrize(
    "value",
    ["x", "1.", ".1", "1..2", "-1", "1.-2", "1_0", " 1", "1\n", "A", "1,2", "0x1", "1" * 13, f"{LATEST + 1:x}",
     ".".join("1" * 1001), 7, 1.5, True],
)  # fmt: skip
def test_unknown_content_is_a_failure_of_the_store(value: Value) -> None:
    """It is never read as an empty log, which would admit everybody."""
    with pytest.raises(StorageUnavailable) as caught:
        Row.of(Entity("device-a", {"created": value}, 0, "e1"))
    assert caught.value.detail == "a throttle row holds something that is not a log"
    assert caught.value.lasting


def test_row_without_any_log_is_a_failure_of_the_store() -> None:
    """The limiter never writes such a row."""
    with pytest.raises(StorageUnavailable) as caught:
        Row.of(Entity("device-a", {}, 0, "e1"))
    assert caught.value.detail == "a throttle row holds no log"
    assert caught.value.lasting


def test_expiry_never_goes_back() -> None:
    """A log of a short limit does not shorten the life of a log of a long one."""
    row = Row("device-a", {}).with_log("created", (5,), 900).with_log("failed", (6,), 100)
    assert row == Row("device-a", {"created": (5,), "failed": (6,)}, 900)


def row(key: str, *stamps: int, etag: str = "") -> Row:
    return Row(key, {"created": stamps}, 9, etag)


async def hold(rows: Rows, entered: list[str], name: str, *keys: str) -> None:
    """Note when a task gets its locks, and hold them for three turns."""
    async with rows.locked(keys):
        entered.append(name)
        for _ in range(3):
            await asyncio.sleep(0)
        entered.append(f"{name} left")


async def test_tasks_get_a_row_one_after_another_in_order_of_arrival() -> None:
    """A task with other rows does not wait."""
    rows, entered = Rows(FakeStore(), 10), list[str]()
    await asyncio.gather(
        hold(rows, entered, "one", "a", "b"),
        hold(rows, entered, "two", "b"),
        hold(rows, entered, "three", "b", "c"),
        hold(rows, entered, "other", "d"),
    )
    assert entered == ["one", "other", "one left", "other left", "two", "two left", "three", "three left"]


async def test_tasks_take_their_locks_in_one_order() -> None:
    """Otherwise two could hold a row each and wait for the other's; the same key twice is one lock."""
    rows, entered, keys = Rows(FakeStore(), 10), list[str](), "abcdefgh"
    async with asyncio.timeout(5):
        await asyncio.gather(
            hold(rows, entered, "first", "a"),
            hold(rows, entered, "all", *reversed(keys), *keys),
            *(hold(rows, entered, key, key) for key in keys[1:]),
        )
    # While it waits for the first row, it holds no other.
    assert entered[:8] == ["first", *keys[1:]]
    assert entered[-2:] == ["all", "all left"]


async def test_cancelled_task_gives_up_its_locks_and_its_place() -> None:
    """The tasks behind it go on, and no lock is left in memory."""
    rows, entered = Rows(FakeStore(), 10), list[str]()
    tasks = [asyncio.create_task(hold(rows, entered, name, "a", "b")) for name in ("one", "two", "three")]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert entered == ["one", "three", "three left"]
    assert not rows._locks
    assert not rows._lock_users


async def test_written_and_read_rows_are_cached_with_their_etags() -> None:
    """The next write needs no read; another instance reads the same."""
    store = FakeStore()
    here, there = Rows(store, 10), Rows(store, 10)
    await here.write([row("a", 1), row("b", 2)])
    known = here.cached(["a", "b", "c"])
    assert known["c"] == Row("c", {})
    assert await there.read(["a", "b", "c"]) == known == there.cached(["a", "b", "c"])
    await there.write([known["a"].with_log("created", (1, 5))])
    with pytest.raises(EntityChanged):
        await here.write([known["a"].with_log("created", (1, 6)), known["b"]])
    assert (await here.read(["a"]))["a"].logs == {"created": (1, 5)}
    assert here.cached(["b"]) == {"b": Row("b", {})}


@pytest.mark.parametrize("error", [StorageUnavailable("down"), asyncio.CancelledError()])
async def test_row_of_a_write_with_unknown_outcome_is_not_cached(error: Exception) -> None:
    """Nobody knows what is stored."""
    store = FakeStore()
    rows = Rows(store, 10)
    await rows.write([row("a", 1)])
    store.lose("write_together", error)
    with pytest.raises(type(error)):
        await rows.write([rows.cached(["a"])["a"].with_log("created", (1, 2))])
    assert rows.cached(["a"]) == {"a": Row("a", {})}


async def test_cache_is_bounded_by_the_length_of_logs() -> None:
    """The row that was not used the longest goes first; a row that is not stored takes no room."""
    rows = Rows(FakeStore(), 10)
    for key in "abc":
        await rows.write([row(key, 1, 2)])
    rows.cached(["a"])
    await rows.read(["x", "y", "z"])
    await rows.write([row("d", 1, 2)])
    assert {key for key, known in rows.cached("abcd").items() if known.etag} == {"a", "c", "d"}


async def test_failed_read_ends_after_all_others() -> None:
    """No read runs on after the request has failed."""
    store = FakeStore()
    ended: list[str] = []

    async def around(call: Call, effect: Effect) -> object:
        if call.keys == ("a",):
            raise StorageUnavailable("down")
        for _ in range(9):
            await asyncio.sleep(0)
        ended.append(call.keys[0])
        return await effect()

    store.around = around
    with pytest.raises(StorageUnavailable):
        await Rows(store, 10).read(["a", "b"])
    assert ended == ["b"]
