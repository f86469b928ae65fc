"""A simulator for each test, on loopback; the test holds its clock and its sleep."""

from collections.abc import AsyncIterator

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.client import KEY, START_MS, FaceClient, Sleeper
from tests.support.time import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START_MS)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
async def simulator(clock: FakeClock, sleeper: Sleeper) -> AsyncIterator[FaceSimulator]:
    simulator = FaceSimulator(key=KEY, bearer_tokens=["entra-token"], clock=clock, sleep=sleeper)
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def face(simulator: FaceSimulator) -> AsyncIterator[FaceClient]:
    """A client with the right key."""
    async with FaceClient(simulator.url) as client:
        yield client
