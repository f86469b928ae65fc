"""The cache of a secret: how often it reads, what it serves meanwhile, and what it says when it cannot."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from shared.errors import KeyUnavailable
from shared.keys import cache as module
from shared.keys.cache import CachedSecret
from shared.keys.secret import Secret
from tests.shared.keys.fake_secret import HOUR, MINUTE, SECOND, FakeSecret, settle
from tests.support.time import FakeClock


@pytest.fixture
def secret() -> FakeSecret:
    return FakeSecret()


@pytest.fixture
async def cache(secret: FakeSecret, clock: FakeClock) -> AsyncIterator[CachedSecret]:
    """Make a cache in the middle of its jitter: a value is refreshed when it is 15 minutes old."""
    made = CachedSecret(secret.read, name="face-key", clock=clock, reread=secret.reread, random=lambda: 0.5)
    yield made
    await made.aclose()


def events(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [json.loads(line.getMessage()) for line in caplog.records if line.name == "shared.keys.cache"]


async def revealed(cache: CachedSecret) -> str:
    return (await cache.get()).reveal()


@pytest.mark.parametrize(
    ("drawn", "refreshed_at"), [(0.0, 13 * MINUTE + 30 * SECOND), (1.0, 16 * MINUTE + 30 * SECOND)]
)
async def test_refreshes_are_spread(
    secret: FakeSecret, clock: FakeClock, drawn: float, refreshed_at: int
) -> None:
    """The instances of an app that started together do not refresh together."""
    cache = CachedSecret(secret.read, name="face-key", clock=clock, random=lambda: drawn)
    await cache.get()
    reads = []
    for span in (refreshed_at - 1, 1):
        clock.advance_ms(span)
        await cache.get()
        await settle()
        reads.append(secret.count())
    assert reads == [1, 2]


async def test_age_counts_from_the_start_of_the_read(
    cache: CachedSecret, secret: FakeSecret, clock: FakeClock
) -> None:
    """A rotation during a slow read is noticed no later than after a fast one."""
    secret.gate.clear()
    waiting = asyncio.create_task(cache.get())
    await settle()
    clock.advance_ms(3 * SECOND)
    secret.gate.set()
    await waiting
    clock.advance_ms(15 * MINUTE - 3 * SECOND)
    await cache.get()
    await settle()
    assert secret.count() == 2


async def test_each_failed_read_is_logged_and_the_recovery_once(
    cache: CachedSecret, secret: FakeSecret, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The log warns as long as the outage lasts, with its current reason."""
    caplog.set_level(logging.INFO)
    await cache.get()
    for detail in ["the vault is down", "the vault is down", "the vault refuses"]:
        secret.break_down(KeyUnavailable(detail))
        clock.advance_ms(15 * MINUTE)
        await cache.get()
        await settle()
    clock.advance_ms(24 * HOUR)
    with pytest.raises(KeyUnavailable):
        await cache.get()
    secret.recover()
    secret.value = "key-2"
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


async def test_failed_first_read_is_remembered_for_five_seconds(
    cache: CachedSecret, secret: FakeSecret, clock: FakeClock
) -> None:
    """Many requests without a key are not many vault calls, and the next read works when the vault is back."""
    secret.break_down()
    for _ in range(100):
        with pytest.raises(KeyUnavailable) as unavailable:
            await cache.get()
        clock.advance_ms(49)
    assert (secret.count(), unavailable.value.retry_after) == (1, 1.0)
    secret.recover()
    clock.advance_ms(100)
    assert await revealed(cache) == "key-1"


@pytest.mark.parametrize(("asked", "pause"), [(20.0, 20.0), (3_600.0, 60.0)])
async def test_vault_that_asks_for_a_longer_pause_gets_it(
    cache: CachedSecret, secret: FakeSecret, clock: FakeClock, asked: float, pause: float
) -> None:
    """A minute at most: nobody waits an hour for a vault that is well again."""
    secret.break_down(KeyUnavailable("throttled", retry_after=asked))
    for _ in range(2):
        with pytest.raises(KeyUnavailable) as unavailable:
            await cache.get()
    assert unavailable.value.retry_after == pause
    secret.recover()
    clock.advance_seconds(pause - 0.001)
    with pytest.raises(KeyUnavailable):
        await cache.get()
    clock.advance_ms(1)
    assert (secret.count(), await revealed(cache)) == (1, "key-1")


@pytest.mark.parametrize(("lifetime", "told"), [(HOUR, "the vault is down"), (0, "compare the clocks")])
async def test_token_is_not_served_beyond_its_end(
    clock: FakeClock, secret: FakeSecret, lifetime: int, told: str
) -> None:
    """A token that came expired is a failure that is remembered, and names its reason."""

    async def read() -> Secret:
        return Secret((await secret.read()).reveal(), expires_at=clock() + lifetime)

    cache = CachedSecret(read, name="token", clock=clock)
    if lifetime:
        await cache.get()
        secret.break_down()
        clock.advance_ms(lifetime - 1)
        assert await revealed(cache) == "key-1"
        await settle()
        clock.advance_ms(1)
    reads = secret.count()
    for _ in range(3):
        with pytest.raises(KeyUnavailable, match=told):
            await cache.get()
    assert secret.count() == reads + (0 if lifetime else 1)


async def test_forced_refresh_keeps_the_pause_that_was_asked_for(
    cache: CachedSecret, secret: FakeSecret, clock: FakeClock
) -> None:
    """Refused values do not make more calls of a service that throttles."""
    refused = await cache.get()
    secret.break_down(KeyUnavailable("throttled", retry_after=20))
    await cache.refresh(refused)
    clock.advance_seconds(19.999)
    await cache.refresh(refused)
    assert (secret.count(), cache.failing) == (2, True)
    clock.advance_ms(1)
    await cache.refresh(refused)
    assert secret.count() == 3


async def test_unforeseen_error_is_named_without_its_text(
    cache: CachedSecret, secret: FakeSecret, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text might quote the value."""
    secret.break_down(RuntimeError("could not parse CANARY"))
    with pytest.raises(KeyUnavailable) as unavailable:
        await cache.get()
    assert unavailable.value.detail == "reading face-key failed with RuntimeError"
    assert unavailable.value.__context__ is None
    assert "CANARY" not in caplog.text


async def test_clock_set_back_delays_nothing(
    cache: CachedSecret, secret: FakeSecret, clock: FakeClock
) -> None:
    """After the machine's clock jumped back, values are refreshed and failures forgotten as before."""
    secret.break_down()
    with pytest.raises(KeyUnavailable):
        await cache.get()
    secret.recover()
    clock.advance_ms(-HOUR)
    assert await revealed(cache) == "key-1"
    clock.advance_ms(-HOUR)
    secret.value = "key-2"
    assert await revealed(cache) == "key-1"
    await settle()
    assert await revealed(cache) == "key-2"


async def test_closing_ends_the_read_and_its_callers(cache: CachedSecret, secret: FakeSecret) -> None:
    """At the end of the app no task is left."""
    secret.gate.clear()
    waiting = asyncio.create_task(cache.get())
    await settle()
    await cache.aclose()
    with pytest.raises(KeyUnavailable, match="broken off"):
        await waiting
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "read face-key"]


async def test_cache_that_is_forced_seldom_looks_once_in_30_seconds(
    clock: FakeClock, secret: FakeSecret
) -> None:
    """However many are refused."""
    cache = CachedSecret(
        secret.read, name="face-key", clock=clock, reread=secret.reread, forced=module.FORCED_SELDOM
    )
    refused = await cache.get()
    for second in range(31):
        assert (await cache.refresh(refused), cache.refresh_pause) == (refused, 30 - second % 30)
        clock.advance_seconds(1)

    assert secret.count("reread") == 2


def test_production_lifetimes() -> None:
    """15 minutes soft, 24 hours hard, 30 seconds between retries, 5 after a cold failure, two forced reads in 10."""
    assert (module.SOFT_LIFETIME, module.HARD_LIFETIME) == (15 * MINUTE, 24 * HOUR)
    assert (module.RETRY_PAUSE, module.COLD_PAUSE) == (30_000, 5_000)
    assert (module.FORCED, module.FORCED_SELDOM) == ((2, 10_000), (1, 30_000))
