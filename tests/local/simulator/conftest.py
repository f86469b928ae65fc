"""A simulator for each test, on loopback; the test holds its clock and its sleep."""

from collections.abc import AsyncIterator

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.client import KEY, START_MS, FaceClient
from tests.support.time import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START_MS)


@pytest.fixture
def slept() -> list[float]:
    """The seconds of each sleep of the simulator, which does not wait."""
    return []


@pytest.fixture
async def simulator(clock: FakeClock, slept: list[float]) -> AsyncIterator[FaceSimulator]:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    simulator = FaceSimulator(key=KEY, clock=clock, sleep=sleep)
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def face(simulator: FaceSimulator) -> AsyncIterator[FaceClient]:
    """A client with the right key."""
    async with FaceClient(simulator.url) as client:
        yield client
