"""Many creates at once over eight processes: exactly as many are admitted as the limit says."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from local.simulator import FaceSimulator
from tests.fleet.fleet import Fleet, running_fleet
from tests.support.azurite import Azurite
from tests.support.processes import SOAK

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("fleet")]

INSTANCES = 8
HERD = 256
NEIGHBOURS = 64 if SOAK else 32
DEVICE_LIMIT = 5
ADDRESS_LIMIT = 40 if SOAK else 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(azurite: Azurite, simulator: FaceSimulator) -> AsyncIterator[Fleet]:
    limits = {"THROTTLE_DEVICE": f"{DEVICE_LIMIT}/10m", "THROTTLE_CLIENT": f"{ADDRESS_LIMIT}/10m"}
    async with running_fleet(INSTANCES, azurite, simulator, CLIENT_ADDRESS="appservice", **limits) as running:
        # The first request creates tables and connections, which these tests are not about.
        await _create_all(running, [f"first-{number}" for number in range(INSTANCES)], "198.51.100.1")
        yield running


@pytest.mark.parametrize("run", range(20))
async def test_herd_on_one_device_over_eight_processes_is_admitted_exactly(fleet: Fleet, run: int) -> None:
    """Of 256 creates at once exactly five get a session, and all others are throttled."""
    device_id = f"herd-{run}-{secrets.token_hex(4)}"

    answers = await _create_all(fleet, [device_id] * HERD, f"203.0.113.{run}")

    assert answers == {(200, None): DEVICE_LIMIT, (429, "DeviceThrottled"): HERD - DEVICE_LIMIT}
    assert len(fleet.sessions_of(device_id)) == DEVICE_LIMIT


@pytest.mark.parametrize("run", range(5 if SOAK else 1))
async def test_herd_behind_one_address_over_eight_processes_is_admitted_exactly(
    fleet: Fleet, run: int
) -> None:
    """Every create writes the same row: all are decided in time, and exactly as many get in as the limit says."""
    devices = [f"neighbour-{run}-{number}-{secrets.token_hex(4)}" for number in range(NEIGHBOURS)]

    answers = await _create_all(fleet, devices, f"192.0.2.{run}")

    assert answers == {(200, None): ADDRESS_LIMIT, (429, "ClientThrottled"): NEIGHBOURS - ADDRESS_LIMIT}
    assert len(fleet.sessions_of(*devices)) == ADDRESS_LIMIT


async def _create_all(fleet: Fleet, devices: Sequence[str], address: str) -> Counter[tuple[int, str | None]]:
    """Create a session for each device at once, at the instances in turn; count the answers."""
    answers = await asyncio.gather(
        *(fleet.create(number % INSTANCES, device, address=address) for number, device in enumerate(devices))
    )
    return Counter((answer.status_code, answer.headers.get("x-ms-error-code")) for answer in answers)
