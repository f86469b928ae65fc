import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from shared.errors import KeyUnavailable
from shared.keys.cache import CachedSecret, Lifetimes
from shared.keys.secret import Secret
from tests.shared.keys.key_doubles import HOUR, MINUTE, SECOND, FakeKeeper, settle
from tests.support.time import FakeClock


@pytest.fixture
def keeper() -> FakeKeeper:
    return FakeKeeper()


@pytest.fixture
async def cache(keeper: FakeKeeper, clock: FakeClock) -> AsyncIterator[CachedSecret]:
    """Make a cache in the middle of its jitter: a value is refreshed when it is 15 minutes old."""
    made = CachedSecret(keeper.read, name="face-key", clock=clock, reread=keeper.reread, random=lambda: 0.5)
    yield made
    await made.aclose()


def events(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [
        json.loads(record.getMessage()) for record in caplog.records if record.name == "shared.keys.cache"
    ]


async def revealed(cache: CachedSecret) -> str:
    return (await cache.get()).reveal()


async def test_the_first_get_reads_and_the_next_ones_do_not(cache: CachedSecret, keeper: FakeKeeper) -> None:
    """One read serves every request while the value is young."""
    assert [await revealed(cache) for _ in range(3)] == ["key-1"] * 3
    assert keeper.reads == 1


async def test_a_thousand_at_once_make_one_read(cache: CachedSecret, keeper: FakeKeeper) -> None:
    """However many wait for the first value, it is fetched once."""
    keeper.hold()
    waiting = [asyncio.create_task(revealed(cache)) for _ in range(1000)]
    await settle()
    keeper.release()
    assert set(await asyncio.gather(*waiting)) == {"key-1"}
    assert keeper.reads == 1


async def test_a_value_past_its_soft_life_is_served_at_once_and_replaced_behind(
    cache: CachedSecret, keeper: FakeKeeper, clock: FakeClock
) -> None:
    """Nobody waits for a refresh: the old value is answered while the new one is fetched."""
    await cache.get()
    keeper.value = "key-2"
    keeper.hold()
    clock.advance_ms(15 * MINUTE)
    assert await revealed(cache) == "key-1"
    assert await revealed(cache) == "key-1"
    keeper.release()
    await settle()
    assert await revealed(cache) == "key-2"
    assert keeper.reads == 2


@pytest.mark.parametrize(
    ("drawn", "young", "old"),
    [
        pytest.param(0.0, 13 * MINUTE + 29 * SECOND, 13 * MINUTE + 30 * SECOND, id="a-tenth-less"),
        pytest.param(1.0, 16 * MINUTE + 29 * SECOND, 16 * MINUTE + 30 * SECOND, id="a-tenth-more"),
    ],
)
async def test_the_soft_life_is_spread_by_a_tenth(
    keeper: FakeKeeper, clock: FakeClock, drawn: float, young: int, old: int
) -> None:
    """The instances of an app that started together do not refresh together."""
    cache = CachedSecret(keeper.read, name="face-key", clock=clock, random=lambda: drawn)
    await cache.get()
    clock.advance_ms(young)
    await cache.get()
    await settle()
    assert keeper.reads == 1
    clock.advance_ms(old - young)
    await cache.get()
    await settle()
    assert keeper.reads == 2


async def test_a_stale_value_outlives_the_vault_for_a_day(
    cache: CachedSecret, keeper: FakeKeeper, clock: FakeClock
) -> None:
    """With the vault down the last value is served for 24 hours, and then there is none."""
    await cache.get()
    keeper.break_down()
    for _ in range(23):
        clock.advance_ms(HOUR)
        assert await revealed(cache) == "key-1"
        await settle()
    clock.advance_ms(2 * HOUR)
    with pytest.raises(KeyUnavailable) as unavailable:
        await cache.get()
    assert unavailable.value.detail == "the vault is down"


async def test_a_failing_refresh_is_repeated_every_half_minute_at_most(
    cache: CachedSecret, keeper: FakeKeeper, clock: FakeClock
) -> None:
    """An outage costs two vault calls a minute, however many requests there are."""
    await cache.get()
    keeper.break_down()
    clock.advance_ms(15 * MINUTE)
    for _ in range(10 * 60):
        await cache.get()
        await settle()
        clock.advance_ms(SECOND)
    assert keeper.reads == 1 + 20


async def test_each_failed_read_is_reported_and_the_end_of_an_outage_once(
    cache: CachedSecret, keeper: FakeKeeper, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The log goes on warning for as long as the outage lasts, says what it is by then, and has a line at its end."""
    caplog.set_level(logging.INFO)
    await cache.get()
    for detail in ["the vault is down", "the vault is down", "the vault refuses"]:
        keeper.break_down(detail)
        clock.advance_ms(15 * MINUTE)
        await cache.get()
        await settle()
    clock.advance_ms(24 * HOUR)
    with pytest.raises(KeyUnavailable):
        await cache.get()
    keeper.recover()
    keeper.value = "key-2"
    clock.advance_ms(MINUTE)
    await cache.get()
    await cache.get()
    failed = {"event": "secret_read_failed", "secret": "face-key", "serving_stale": True}
    assert events(caplog) == [
        failed | {"detail": "the vault is down"},
        failed | {"detail": "the vault is down"},
        failed | {"detail": "the vault refuses"},
        failed | {"detail": "the vault refuses", "serving_stale": False},
        {"event": "secret_changed", "secret": "face-key"},
        {"event": "secret_read_recovered", "secret": "face-key"},
    ]


async def test_an_outage_is_reported_no_more_often_than_the_vault_is_asked(
    cache: CachedSecret, keeper: FakeKeeper, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice a minute while there is a value to serve, however many requests there are: the alert sees each quarter."""
    await cache.get()
    keeper.break_down()
    clock.advance_ms(15 * MINUTE)
    for _ in range(15 * 60):
        await cache.get()
        await settle()
        clock.advance_ms(SECOND)
    assert len(events(caplog)) == 30


async def test_a_cold_start_without_the_vault_fails_for_all_who_wait(
    cache: CachedSecret, keeper: FakeKeeper
) -> None:
    """One failed read tells every waiting request when to come back."""
    keeper.break_down()
    keeper.hold()
    waiting = [asyncio.create_task(cache.get()) for _ in range(1000)]
    await settle()
    keeper.release()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert {(type(failure), str(failure)) for failure in failures} == {(KeyUnavailable, "the vault is down")}
    assert {failure.retry_after for failure in failures if isinstance(failure, KeyUnavailable)} == {5.0}
    assert keeper.reads == 1


async def test_a_failed_first_read_is_remembered_for_five_seconds(
    cache: CachedSecret, keeper: FakeKeeper, clock: FakeClock
) -> None:
    """A storm of requests without a key is no storm of vault calls, and ends when the vault is back."""
    keeper.break_down()
    for _ in range(100):
        with pytest.raises(KeyUnavailable) as unavailable:
            await cache.get()
        clock.advance_ms(49)
    assert keeper.reads == 1
    assert unavailable.value.retry_after == 1.0
    keeper.recover()
    clock.advance_ms(100)
    assert await revealed(cache) == "key-1"


async def test_a_cancelled_waiter_does_not_end_the_shared_read(
    cache: CachedSecret, keeper: FakeKeeper
) -> None:
    """A phone that hangs up takes nobody else's key away, not even as the one who came first."""
    keeper.hold()
    first, second = asyncio.create_task(revealed(cache)), asyncio.create_task(revealed(cache))
    await settle()
    first.cancel()
    await settle()
    keeper.release()
    assert await second == "key-1"
    assert first.cancelled()
    assert keeper.reads == 1


async def test_a_read_whose_waiters_are_all_cancelled_still_serves_the_next(
    cache: CachedSecret, keeper: FakeKeeper
) -> None:
    """The work of a call that nobody waits for any more is kept."""
    keeper.hold()
    waiting = asyncio.create_task(cache.get())
    await settle()
    waiting.cancel()
    await settle()
    keeper.release()
    await settle()
    assert await revealed(cache) == "key-1"
    assert keeper.reads == 1


async def test_a_refused_value_is_replaced_by_one_forced_read(
    cache: CachedSecret, keeper: FakeKeeper
) -> None:
    """A thousand refusals of one key make one vault call, and all get the new key."""
    refused = await cache.get()
    keeper.value = "key-2"
    keeper.hold()
    waiting = [asyncio.create_task(cache.refresh(refused)) for _ in range(1000)]
    await settle()
    keeper.release()
    assert {secret.reveal() for secret in await asyncio.gather(*waiting)} == {"key-2"}
    assert keeper.forced == 1


async def test_a_refused_value_that_was_replaced_already_costs_no_read(
    cache: CachedSecret, keeper: FakeKeeper, clock: FakeClock
) -> None:
    """Who comes late with an old key gets the current one from memory."""
    refused = await cache.get()
    keeper.value = "key-2"
    await cache.refresh(refused)
    clock.advance_ms(MINUTE)
    assert (await cache.refresh(refused)).reveal() == "key-2"
    assert keeper.reads == 2


async def test_a_storm_of_refusals_makes_one_forced_read_in_half_a_minute(
    cache: CachedSecret, keeper: FakeKeeper, clock: FakeClock
) -> None:
    """A key that Face refuses for good costs two vault calls in 30 seconds, and one in each later 30."""
    calls = []
    for _ in range(60):
        refused = await cache.get()
        await asyncio.gather(*[cache.refresh(refused) for _ in range(20)])
        calls.append(keeper.reads)
        clock.advance_ms(SECOND)
    assert calls == [2] * 30 + [3] * 30


async def test_a_refusal_during_a_background_refresh_looks_again_where_that_brought_nothing_new(
    cache: CachedSecret, keeper: FakeKeeper, clock: FakeClock
) -> None:
    """A read that began before the key was rolled does not stand for the one that the refusal asks for."""
    refused = await cache.get()
    clock.advance_ms(15 * MINUTE)
    keeper.hold()
    await cache.get()
    waiting = [asyncio.create_task(cache.refresh(refused)) for _ in range(3)]
    await settle()
    keeper.release()
    await asyncio.gather(*waiting)
    assert (keeper.reads, keeper.forced, keeper.most_under_way) == (3, 1, 1)


async def test_a_forced_read_that_fails_answers_the_refused_value_again(
    cache: CachedSecret, keeper: FakeKeeper
) -> None:
    """With the vault down there is nothing newer: the caller learns it from getting the same value."""
    refused = await cache.get()
    keeper.break_down()
    assert await cache.refresh(refused) == refused
    assert keeper.forced == 1


async def test_a_refusal_with_an_empty_cache_reads_like_a_get(
    cache: CachedSecret, keeper: FakeKeeper
) -> None:
    """A key that is unknown here, because the process is new, is answered with the current one."""
    assert (await cache.refresh(Secret("key-0"))).reveal() == "key-1"
    assert (keeper.reads, keeper.forced) == (1, 0)


async def test_a_value_with_an_end_of_its_own_is_not_served_beyond_it(
    clock: FakeClock, keeper: FakeKeeper
) -> None:
    """A token that has expired is never sent, however short it was held."""

    async def read() -> Secret:
        return Secret((await keeper.read()).reveal(), expires_at=clock() + HOUR)

    cache = CachedSecret(read, name="token", clock=clock)
    await cache.get()
    keeper.break_down()
    clock.advance_ms(HOUR - 1)
    assert await revealed(cache) == "key-1"
    await settle()
    clock.advance_ms(1)
    with pytest.raises(KeyUnavailable, match="the vault is down"):
        await cache.get()


async def test_a_value_that_came_expired_is_a_failure_that_is_remembered(clock: FakeClock) -> None:
    """A clock that is far off is named as the reason, and does not turn into a storm of calls."""
    reads = 0

    async def read() -> Secret:
        nonlocal reads
        reads += 1
        return Secret("token", expires_at=clock() - 1)

    cache = CachedSecret(read, name="token", clock=clock)
    for _ in range(3):
        with pytest.raises(KeyUnavailable, match="compare the clocks"):
            await cache.get()
    assert reads == 1


async def test_a_read_that_worked_ends_the_pause_after_one_that_failed(
    clock: FakeClock, keeper: FakeKeeper
) -> None:
    """What failed before a success holds no later read up."""

    async def read() -> Secret:
        return Secret((await keeper.read()).reveal(), expires_at=clock() + SECOND)

    cache = CachedSecret(read, name="token", clock=clock, lifetimes=Lifetimes(soft=100))
    refused = await cache.get()
    keeper.break_down()
    clock.advance_ms(200)
    await cache.get()
    await settle()
    keeper.recover()
    await cache.refresh(refused)
    clock.advance_ms(2 * SECOND)
    assert await revealed(cache) == "key-1"


async def test_an_error_that_nobody_foresaw_is_told_by_its_name_alone(
    cache: CachedSecret, keeper: FakeKeeper, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a read raises ends in `KeyUnavailable`; its text, which might quote the value, stays inside."""
    keeper.broken = RuntimeError("could not parse CANARY")
    with pytest.raises(KeyUnavailable) as unavailable:
        await cache.get()
    assert unavailable.value.detail == "reading secret face-key failed with RuntimeError"
    assert unavailable.value.__context__ is None
    assert "CANARY" not in caplog.text


async def test_a_clock_set_back_holds_nothing_up(
    cache: CachedSecret, keeper: FakeKeeper, clock: FakeClock
) -> None:
    """After the machine's clock jumped back, values are refreshed and failures forgotten as before."""
    keeper.break_down()
    with pytest.raises(KeyUnavailable):
        await cache.get()
    keeper.recover()
    clock.advance_ms(-HOUR)
    assert await revealed(cache) == "key-1"
    clock.advance_ms(-HOUR)
    keeper.value = "key-2"
    assert await revealed(cache) == "key-1"
    await settle()
    assert await revealed(cache) == "key-2"


async def test_closing_ends_the_read_under_way_and_its_waiters(
    cache: CachedSecret, keeper: FakeKeeper
) -> None:
    """At the end of the app no task is left behind, and who still waited is told so."""
    keeper.hold()
    waiting = asyncio.create_task(cache.get())
    await settle()
    await cache.aclose()
    with pytest.raises(KeyUnavailable, match="broken off"):
        await waiting
    assert keeper.under_way == 0


async def test_lifetimes_are_those_of_the_design() -> None:
    """15 minutes soft, 24 hours hard, 30 seconds between retries and forced reads, 5 after a cold failure."""
    assert Lifetimes() == Lifetimes(
        soft=15 * MINUTE, hard=24 * HOUR, retry=30 * SECOND, negative=5 * SECOND, forced=30 * SECOND
    )
