"""A simulator per test, served over loopback, with a clock and a sleep that the test holds."""

from collections.abc import AsyncIterator

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.simulator_client import KEY, FaceClient, FixedClock, Sleeper


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
async def simulator(clock: FixedClock, sleeper: Sleeper) -> AsyncIterator[FaceSimulator]:
    simulator = FaceSimulator(key=KEY, bearer_tokens=["entra-token"], clock=clock, sleep=sleeper)
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def face(simulator: FaceSimulator) -> AsyncIterator[FaceClient]:
    """A client that holds the right key."""
    client = FaceClient(simulator.url)
    yield client
    await client.aclose()
