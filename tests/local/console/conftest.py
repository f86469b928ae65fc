"""The console's routes, served over loopback."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from local.console.routes import console_routes
from local.operator_view import OperatorView, RecentLog
from local.queues import message_source
from shared.app import App
from shared.face.budget import Budget
from tests.support.app import app_of
from tests.support.time import FakeClock

SIMULATOR_URL = "http://127.0.0.1:7072"
ABOUT: dict[str, str | bool] = {"release": "1.2.3", "faceVersion": "v1.2", "simulated": True}


@pytest.fixture
def app() -> App:
    return app_of()


def operator_view(app: App) -> OperatorView:
    """The view of an app, with a log of its own."""
    return OperatorView(app, message_source(app), Budget(5), RecentLog(FakeClock()), deliveries=8)


@pytest.fixture
def events() -> list[dict[str, Any]]:
    """The events of the run; a test adds to them."""
    return []


@pytest.fixture
async def console(app: App, events: list[dict[str, Any]]) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a console that gets events."""
    application = web.Application()
    application.add_routes(console_routes(SIMULATOR_URL, events, ABOUT, operator_view(app)))
    async with TestServer(application) as server, aiohttp.ClientSession(server.make_url("/")) as client:
        yield client
