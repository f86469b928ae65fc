"""The store fails under traffic and comes back: clear answers meanwhile, and no session is forgotten."""

import asyncio
import secrets
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
from tests.support.broker import FACE_KEY
from tests.support.processes import SOAK

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("fleet")]

INSTANCES = 2
PHONES = 8
ROUNDS = 3 if SOAK else 1
SLOW_DEVICE = "sim-create-slow"

DEADLINE_SECONDS: Final = 15.0
"""No answer takes longer, whatever the store does.

Each call of the store ends after 2 s. The longest sequence of hanging calls takes 8 s: waiting for the throttle row,
the request's own turn, releasing the idempotency key, undoing. The rest is for a loaded machine.
"""

Outage = Callable[[Azurite], AbstractContextManager[None]]


class Gate:
    """Holds the simulator's slow calls until it is opened."""

    def __init__(self) -> None:
        self.arrived, self.opened = asyncio.Event(), asyncio.Event()

    def close(self) -> None:
        """Hold the calls that arrive from now on."""
        self.arrived.clear()
        self.opened.clear()

    async def sleep(self, _: float) -> None:
        """Wait, however long the sleep should be."""
        self.arrived.set()
        await self.opened.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> Gate:
    """Where a create of the slow device waits, after Face has created its session."""
    return Gate()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator(gate: Gate) -> AsyncIterator[FaceSimulator]:
    """A Face whose slowness the test controls."""
    running = FaceSimulator(key=FACE_KEY, sleep=gate.sleep)
    await running.start()
    yield running
    await running.stop()


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


@pytest.mark.parametrize(
    ("outage", "keyed"),
    [
        pytest.param(Azurite.stopped, True, id="stopped-keyed"),
        pytest.param(Azurite.hanging, False, id="hanging-bare"),
        *([pytest.param(Azurite.stopped, False, id="stopped-bare")] if SOAK else []),
        *([pytest.param(Azurite.hanging, True, id="hanging-keyed")] if SOAK else []),
    ],
)
async def test_session_created_while_the_store_went_away_is_taken_back(
    fleet: Fleet, kept_azurite: Azurite, gate: Gate, outage: Outage, keyed: bool
) -> None:
    """Face created it, but it cannot be recorded: the phone gets 503, and the session is deleted at Face."""
    gate.close()
    key = secrets.token_urlsafe(24) if keyed else None
    known = {session.session_id for session in fleet.simulator.sessions}
    asked = asyncio.create_task(fleet.create(0, SLOW_DEVICE, key=key))
    await gate.arrived.wait()

    async with _during(outage(kept_azurite)):
        gate.opened.set()
        answer = await asked
    (made,) = [session for session in fleet.sessions_of(SLOW_DEVICE) if session.session_id not in known]

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "StorageUnavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert made.deleted


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
