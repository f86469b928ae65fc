"""Hosts for a test, on loopback."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import azure.functions as func
import pytest

from tests.local.host.client import Serve, anonymous_app, echo, new_host


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as started:

        async def start(app: func.FunctionApp, **more: Any) -> str:  # noqa: ANN401 - the host's own parameters.
            host = new_host(app, **more)
            started.push_async_callback(host.stop)
            await host.start()
            return host.url

        yield start


@pytest.fixture
async def url(serve: Serve) -> str:
    """The address of a host whose function `/api/echo` answers what it sees."""
    app = anonymous_app()
    app.route("echo/{*path}")(echo)
    return await serve(app)
