"""The console's routes, served over loopback."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from local.console.routes import console_routes

SIMULATOR_URL = "http://127.0.0.1:7072"


@pytest.fixture
def events() -> list[dict[str, Any]]:
    """The events of the run; a test adds to them."""
    return []


@pytest.fixture
async def console(events: list[dict[str, Any]]) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a console that gets events."""
    application = web.Application()
    application.add_routes(console_routes(SIMULATOR_URL, events))
    async with TestServer(application) as server, aiohttp.ClientSession(server.make_url("/")) as client:
        yield client
