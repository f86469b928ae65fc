"""The store fails under traffic and comes back: clear answers meanwhile, and no session is forgotten."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Final

import pytest
import pytest_asyncio

from local.simulator import FaceSimulator, Session
from tests.fleet.fleet import Fleet, running_fleet
from tests.fleet.stored import stored_files
from tests.fleet.usage import Usage
from tests.support.azurite import Azurite
from tests.support.processes import SOAK

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("fleet")]

INSTANCES = 2
PHONES = 8
ROUNDS = 3 if SOAK else 1

DEADLINE_SECONDS: Final = 15.0
"""No answer takes longer, whatever the store does.

Each call of the store ends after 2 s. The longest sequence of hanging calls takes 8 s: waiting for the throttle row,
the request's own turn, releasing the idempotency key, undoing. The rest is for a loaded machine.
"""

Outage = Callable[[Azurite], AbstractContextManager[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(kept_azurite: Azurite, simulator: FaceSimulator) -> AsyncIterator[Fleet]:
    async with running_fleet(INSTANCES, kept_azurite, simulator, THROTTLE_DEVICE="1000/10m") as running:
        yield running


@pytest.mark.parametrize("outage", [Azurite.stopped, Azurite.hanging] * ROUNDS)
async def test_outage_under_traffic_gets_clear_answers_and_ends(
    fleet: Fleet, kept_azurite: Azurite, outage: Outage
) -> None:
    """503 with Retry-After while the store fails, sessions again without a restart, and each accounted for."""
    async with Usage(fleet).under_way(PHONES) as usage:
        await usage.until(200, count=2 * PHONES)
        async with _during(outage(kept_azurite)):
            await usage.until(503, count=2 * PHONES)
        await usage.until(200, count=2 * PHONES)

    assert {(told.status, told.code) for told in usage.told} <= {
        (200, None),
        (204, None),
        (409, "IdempotencyInProgress"),
        (503, "StorageUnavailable"),
    }
    assert all(1 <= told.retry_after <= 60 for told in usage.told if told.status in (409, 503))
    assert max(told.seconds for told in usage.told) < DEADLINE_SECONDS
    assert not usage.repeated_devices()
    assert not await usage.broken_promises()
    assert not await _without_sweep(kept_azurite, usage.stray_sessions())


async def _without_sweep(azurite: Azurite, strays: Sequence[Session]) -> list[Session]:
    """Return the sessions that no message will end; it is hidden until the token expires."""
    if not strays:
        return []
    stored = await stored_files(azurite)
    return [session for session in strays if not stored.holding(f'"session_id": "{session.session_id}"')]


@asynccontextmanager
async def _during(outage: AbstractContextManager[None]) -> AsyncIterator[None]:
    await asyncio.to_thread(outage.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(outage.__exit__, None, None, None)
