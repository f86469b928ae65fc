from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.broker import Broker, running_broker


@pytest_asyncio.fixture
async def broker() -> AsyncIterator[Broker]:
    async with running_broker() as running:
        yield running
