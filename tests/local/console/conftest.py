"""The routes of the console page, served over loopback."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from local.console import console_routes
from tests.local.console.client import SIMULATOR_URL, serving


@pytest.fixture
def events() -> list[dict[str, Any]]:
    """The events of the run; a test adds to them."""
    return []


@pytest.fixture
async def console(events: list[dict[str, Any]]) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a console that gets events."""
    async with serving(console_routes(SIMULATOR_URL, lambda: events)) as client:
        yield client
