"""What the tests of killed processes share."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.scene import Scene, running_scene
from tests.support.azurite import Azurite


@pytest.fixture(scope="module")
def own_azurite() -> Iterator[Azurite]:
    """An Azurite whose queue no other test uses."""
    with Azurite() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def scene(own_azurite: Azurite, tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_scene(own_azurite, tmp_path) as running:
        yield running
