"""The store goes away under traffic and comes back: clear answers meanwhile, and nothing that nobody knows of."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Final

import pytest
import pytest_asyncio

from local.simulator import FaceSimulator, Session
from tests.fleet.fleet import Fleet, running_fleet
from tests.fleet.outage import Held, Usage
from tests.fleet.stored import KeptAzurite, files_of, holding
from tests.support.azurite import Azurite
from tests.support.broker import FACE_KEY
from tests.support.processes import SOAK

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSTANCES = 2
PHONES = 8
ROUNDS = 3 if SOAK else 1
SLOW_DEVICE = "sim-create-slow"

DEADLINE_SECONDS: Final = 15.0
"""No answer takes longer, whatever the store does.

Each call of the store is given up after 2 s. The longest row of them that can hang is 8 s: waiting for who has the
throttle row, one's own turn, taking the idempotency key back, undoing. The rest is for a loaded machine.
"""

Outage = Callable[[Azurite], AbstractContextManager[None]]


@contextmanager
def stopped(azurite: Azurite) -> Iterator[None]:
    """End Azurite, and start it again with its data on its ports."""
    azurite.stop()
    try:
        yield
    finally:
        azurite.start()


@pytest.fixture(scope="module")
def kept_azurite() -> Iterator[KeptAzurite]:
    """An Azurite of these tests' own, whose data outlives it."""
    with KeptAzurite() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at_face() -> Held:
    """Where creates of the slow device wait, after Face has made their sessions."""
    return Held()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator(at_face: Held) -> AsyncIterator[FaceSimulator]:
    """A Face of these tests' own, which lets the test say how slow it is."""
    running = FaceSimulator(key=FACE_KEY, sleep=at_face.sleep)
    await running.start()
    yield running
    await running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(kept_azurite: Azurite, simulator: FaceSimulator) -> AsyncIterator[Fleet]:
    async with running_fleet(INSTANCES, kept_azurite, simulator, THROTTLE_DEVICE="1000/10m") as running:
        yield running


@pytest.mark.parametrize("outage", [stopped, Azurite.hanging] * ROUNDS)
async def test_outage_under_traffic_is_told_in_time_and_got_over(
    fleet: Fleet, kept_azurite: KeptAzurite, outage: Outage
) -> None:
    """503 with Retry-After while the store is away, sessions again without a restart, each of them accounted for."""
    async with Usage(fleet).under_way(PHONES) as usage:
        await usage.until(lambda told: told.status == 200, count=2 * PHONES)
        async with _during(outage(kept_azurite)):
            await usage.until(lambda told: told.status == 503, count=2 * PHONES)
        await usage.until(lambda told: told.status == 200, count=2 * PHONES)

    assert {told.outcome for told in usage.told} <= {
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
        pytest.param(stopped, True, id="stopped-keyed"),
        pytest.param(Azurite.hanging, False, id="hanging-bare"),
        *([pytest.param(stopped, False, id="stopped-bare")] if SOAK else []),
        *([pytest.param(Azurite.hanging, True, id="hanging-keyed")] if SOAK else []),
    ],
)
async def test_session_made_while_the_store_went_away_is_taken_back(
    fleet: Fleet, kept_azurite: KeptAzurite, at_face: Held, outage: Outage, keyed: bool
) -> None:
    """Face has made it, and then nothing can be written any more: the phone gets 503, and Face is told to forget it."""
    key = secrets.token_urlsafe(24) if keyed else None
    known = {session.session_id for session in fleet.simulator.sessions}
    asked = asyncio.create_task(fleet.create(0, SLOW_DEVICE, key=key))
    await at_face.arrived()

    async with _during(outage(kept_azurite)):
        at_face.let_go()
        answer = await asked
    (made,) = [session for session in fleet.sessions_of(SLOW_DEVICE) if session.session_id not in known]

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "StorageUnavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert made.deleted


async def _without_sweep(azurite: KeptAzurite, strays: Sequence[Session]) -> list[Session]:
    """Answer the sessions that nobody was given and that no message will end, hidden until their tokens do."""
    if not strays:
        return []
    async with _during(stopped(azurite)):
        files = files_of(azurite)
    return [session for session in strays if not holding(files, f'"session_id": "{session.session_id}"')]


@asynccontextmanager
async def _during(outage: AbstractContextManager[None]) -> AsyncIterator[None]:
    await asyncio.to_thread(outage.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(outage.__exit__, None, None, None)
