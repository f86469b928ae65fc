"""A simulator for each test, on loopback; the test holds its clock and its sleep."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.client import KEY, START_MS, FaceClient
from tests.support.time import FakeClock


@dataclass
class Sleeps:
    """Notes each sleep of the simulator, which does not wait; `forever` makes it wait until it is cancelled."""

    seconds: list[float] = field(default_factory=list)
    forever: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.begun.set()
        try:
            if self.forever:
                await asyncio.Event().wait()
        finally:
            self.ended.set()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START_MS)


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
async def simulator(clock: FakeClock, sleeps: Sleeps) -> AsyncIterator[FaceSimulator]:
    simulator = FaceSimulator(key=KEY, clock=clock, sleep=sleeps)
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def face(simulator: FaceSimulator) -> AsyncIterator[FaceClient]:
    """A client with the right key."""
    async with FaceClient(simulator.url) as client:
        yield client
