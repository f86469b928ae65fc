"""Herds over eight processes: exactly as many get in as the limit says, and nobody is told that we failed."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
import pytest_asyncio

from local.simulator import FaceSimulator
from tests.fleet.fleet import Fleet, running_fleet
from tests.support.azurite import Azurite
from tests.support.processes import SOAK

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSTANCES = 8
HERD = 256
NEIGHBOURS = 64
DEVICE_LIMIT = 5
ADDRESS_LIMIT = 40


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(azurite: Azurite, simulator: FaceSimulator) -> AsyncIterator[Fleet]:
    async with running_fleet(
        INSTANCES,
        azurite,
        simulator,
        THROTTLE_DEVICE=f"{DEVICE_LIMIT}/10m",
        THROTTLE_CLIENT=f"{ADDRESS_LIMIT}/10m",
        CLIENT_ADDRESS="appservice",
    ) as running:
        # What is made with the first request (tables, connections) is no part of what is tested.
        first = [
            running.create(number, f"first-{number}", address="198.51.100.1") for number in range(INSTANCES)
        ]
        await asyncio.gather(*first)
        yield running


@pytest.mark.parametrize("run", range(20))
async def test_herd_on_one_device_over_eight_processes_is_admitted_exactly(fleet: Fleet, run: int) -> None:
    """Of 256 creates at once exactly five get a session, and all others are told to come back."""
    device_id = f"herd-{run}-{secrets.token_hex(4)}"

    home = f"203.0.113.{run}"
    answers = await asyncio.gather(
        *(fleet.create(number % INSTANCES, device_id, address=home) for number in range(HERD))
    )

    assert _told(answers) == {(200, None): DEVICE_LIMIT, (429, "DeviceThrottled"): HERD - DEVICE_LIMIT}
    assert len(fleet.sessions_of(device_id)) == DEVICE_LIMIT


@pytest.mark.parametrize("run", range(5 if SOAK else 1))
async def test_herd_behind_one_address_over_eight_processes_is_admitted_exactly(
    fleet: Fleet, run: int
) -> None:
    """One row that every create of every process has to write: its time suffices, and the limit is met to the unit."""
    devices = [f"neighbour-{run}-{number}-{secrets.token_hex(4)}" for number in range(NEIGHBOURS)]

    answers = await asyncio.gather(
        *(
            fleet.create(number % INSTANCES, device, address=f"192.0.2.{run}")
            for number, device in enumerate(devices)
        )
    )

    assert _told(answers) == {
        (200, None): ADDRESS_LIMIT,
        (429, "ClientThrottled"): NEIGHBOURS - ADDRESS_LIMIT,
    }
    assert (
        len([session for session in fleet.simulator.sessions if session.device_id in devices])
        == ADDRESS_LIMIT
    )


def _told(answers: Sequence[httpx.Response]) -> Counter[tuple[int, str | None]]:
    return Counter((answer.status_code, answer.headers.get("x-ms-error-code")) for answer in answers)
