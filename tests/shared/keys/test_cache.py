"""The cache of a secret: how often it reads, what it serves meanwhile, and what it says when it cannot."""

import asyncio
import json
import logging
from typing import Any

import pytest

from shared.errors import KeyUnavailable
from shared.keys import cache as module
from shared.keys.cache import CachedSecret
from tests.shared.keys.fake_secret import HOUR, MINUTE, SECOND, FakeSecret, settle
from tests.support.time import FakeClock


class Scene:
    """A cache in the middle of its jitter: a value is refreshed when it is 15 minutes old."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - of the cache.
        self.secret, self.clock = FakeSecret(), FakeClock()
        options = {"reread": self.secret.reread, "random": lambda: 0.5} | options
        self.cache = CachedSecret(self.secret.read, name="face-key", clock=self.clock, **options)

    async def get(self) -> str:
        """Get the value, and let a refresh in the background end."""
        value = await self.cache.get()
        await settle()
        return value.reveal()

    async def failure(self) -> KeyUnavailable:
        with pytest.raises(KeyUnavailable) as unavailable:
            await self.cache.get()
        return unavailable.value


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize(("drawn", "age"), [(0.0, 810 * SECOND), (1.0, 990 * SECOND)])
async def test_refreshes_are_spread(drawn: float, age: int) -> None:
    """The instances of an app that started together do not refresh together."""
    scene = Scene(random=lambda: drawn)
    await scene.get()
    reads = []
    for span in (age - 1, 1):
        scene.clock.advance_ms(span)
        await scene.get()
        reads.append(scene.secret.count())
    assert reads == [1, 2]


async def test_age_counts_from_the_start_of_the_read(scene: Scene) -> None:
    """A rotation during a slow read is noticed no later than after a fast one."""
    scene.secret.gate.clear()
    waiting = asyncio.create_task(scene.get())
    await settle()
    scene.clock.advance_ms(3 * SECOND)
    scene.secret.gate.set()
    await waiting
    scene.clock.advance_ms(15 * MINUTE - 3 * SECOND)
    await scene.get()
    assert scene.secret.count() == 2


async def test_each_failed_read_is_logged_and_the_recovery_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The log warns as long as the outage lasts, with its current reason."""
    caplog.set_level(logging.INFO, logger="shared.keys.cache")
    await scene.get()
    for detail in ["the vault is down", "the vault is down", "the vault refuses"]:
        scene.secret.break_down(KeyUnavailable(detail))
        scene.clock.advance_ms(15 * MINUTE)
        await scene.get()
    scene.clock.advance_ms(24 * HOUR)
    await scene.failure()
    scene.secret.recover()
    scene.secret.value = "key-2"
    scene.clock.advance_ms(MINUTE)
    await scene.get()
    await scene.get()
    failed = {"event": "secret_read_failed", "secret": "face-key", "serving_stale": True}
    assert [json.loads(message) for message in caplog.messages] == [
        failed | {"detail": "the vault is down"},
        failed | {"detail": "the vault is down"},
        failed | {"detail": "the vault refuses"},
        failed | {"detail": "the vault refuses", "serving_stale": False},
        {"event": "secret_changed", "secret": "face-key"},
        {"event": "secret_read_recovered", "secret": "face-key"},
    ]


async def test_failed_first_read_is_remembered_for_five_seconds(scene: Scene) -> None:
    """Many requests without a key are not many vault calls, and the next read works when the vault is back."""
    scene.secret.break_down()
    for _ in range(100):
        failure = await scene.failure()
        scene.clock.advance_ms(49)
    assert (scene.secret.count(), failure.retry_after) == (1, 1.0)
    scene.secret.recover()
    scene.clock.advance_ms(100)
    assert await scene.get() == "key-1"


@pytest.mark.parametrize(("asked", "pause"), [(20.0, 20.0), (3_600.0, 60.0)])
async def test_vault_that_asks_for_a_longer_pause_gets_it(scene: Scene, asked: float, pause: float) -> None:
    """A minute at most: nobody waits an hour for a vault that is well again."""
    scene.secret.break_down(KeyUnavailable("throttled", retry_after=asked))
    for _ in range(2):
        assert (await scene.failure()).retry_after == pause
    scene.secret.recover()
    scene.clock.advance_seconds(pause - 0.001)
    await scene.failure()
    scene.clock.advance_ms(1)
    assert (scene.secret.count(), await scene.get()) == (1, "key-1")


async def test_token_is_served_until_its_end(scene: Scene) -> None:
    scene.secret.expires_at = scene.clock() + HOUR
    await scene.get()
    scene.secret.break_down()
    scene.clock.advance_ms(HOUR - 1)
    assert await scene.get() == "key-1"
    scene.clock.advance_ms(1)
    assert ((await scene.failure()).detail, scene.secret.count()) == ("the vault is down", 2)


async def test_token_that_came_expired_is_a_failure_that_is_remembered(scene: Scene) -> None:
    scene.secret.expires_at = scene.clock()
    for _ in range(3):
        assert (await scene.failure()).detail == "face-key had expired when it came: compare the clocks"
    assert scene.secret.count() == 1


async def test_forced_refresh_keeps_the_pause_that_was_asked_for(scene: Scene) -> None:
    """Refused values do not make more calls of a service that throttles."""
    refused = await scene.cache.get()
    scene.secret.break_down(KeyUnavailable("throttled", retry_after=20))
    await scene.cache.refresh(refused)
    scene.clock.advance_seconds(19.999)
    await scene.cache.refresh(refused)
    assert (scene.secret.count(), scene.cache.failing) == (2, True)
    scene.clock.advance_ms(1)
    await scene.cache.refresh(refused)
    assert scene.secret.count() == 3


async def test_unforeseen_error_is_named_without_its_text(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text might quote the value."""
    scene.secret.break_down(RuntimeError("could not parse CANARY"))
    failure = await scene.failure()
    assert (failure.detail, failure.__context__) == ("reading face-key failed with RuntimeError", None)
    assert "CANARY" not in caplog.text


async def test_clock_set_back_delays_nothing(scene: Scene) -> None:
    """After the machine's clock jumped back, values are refreshed and failures forgotten as before."""
    scene.secret.break_down()
    await scene.failure()
    scene.secret.recover()
    scene.clock.advance_ms(-HOUR)
    assert await scene.get() == "key-1"
    scene.clock.advance_ms(-HOUR)
    scene.secret.value = "key-2"
    assert [await scene.get() for _ in range(2)] == ["key-1", "key-2"]


async def test_closing_ends_the_read_and_its_callers(scene: Scene) -> None:
    """At the end of the app no task is left."""
    scene.secret.gate.clear()
    waiting = asyncio.create_task(scene.get())
    await settle()
    await scene.cache.aclose()
    with pytest.raises(KeyUnavailable, match="broken off"):
        await waiting
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "read face-key"]


async def test_cache_that_is_forced_seldom_looks_once_in_30_seconds() -> None:
    scene = Scene(forced=module.FORCED_SELDOM)
    refused = await scene.cache.get()
    for second in range(31):
        assert (await scene.cache.refresh(refused), scene.cache.refresh_pause) == (refused, 30 - second % 30)
        scene.clock.advance_seconds(1)

    assert scene.secret.count("reread") == 2


def test_production_lifetimes() -> None:
    assert (module.SOFT_LIFETIME, module.HARD_LIFETIME) == (15 * MINUTE, 24 * HOUR)
    assert (module.RETRY_PAUSE, module.COLD_PAUSE) == (30 * SECOND, 5 * SECOND)
    assert (module.FORCED, module.FORCED_SELDOM) == ((2, 10 * SECOND), (1, 30 * SECOND))
