"""The console page's routes, served over loopback."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from local.console import console_routes
from tests.local.console.console_client import SIMULATOR_URL, EventList, serving


@pytest.fixture
def event_list() -> EventList:
    """The events of the run, which a test adds to."""
    return EventList()


@pytest.fixture
async def console(event_list: EventList) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a console that is handed events."""
    async with serving(console_routes(SIMULATOR_URL, events=event_list.so_far)) as client:
        yield client
