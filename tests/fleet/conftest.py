"""What the tests of several instances share."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from local.simulator import FaceSimulator
from tests.support.azurite import Azurite
from tests.support.broker import FACE_KEY


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncIterator[FaceSimulator]:
    """The upstream, in this process and in real time."""
    running = FaceSimulator(key=FACE_KEY)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture(scope="module")
def kept_azurite() -> Iterator[Azurite]:
    """An Azurite for one module, whose data outlives a restart."""
    with Azurite(keep=True) as running:
        yield running
