"""A host per test, served over loopback."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import azure.functions as func
import pytest
from aiohttp import web

from local.host import DEFAULT_BODY_LIMIT, Host
from tests.local.host.host_client import Serve


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start hosts whose function key is `function-key` and whose master key is `master-key`."""
    started: list[Host] = []

    async def start(
        app: func.FunctionApp,
        host_json: Mapping[str, Any] | None = None,
        *,
        body_limit: int = DEFAULT_BODY_LIMIT,
        extra_routes: Sequence[web.RouteDef] = (),
    ) -> Host:
        host = Host(
            app,
            host_json or {},
            function_key="function-key",
            master_key="master-key",
            body_limit=body_limit,
            extra_routes=extra_routes,
        )
        started.append(host)
        await host.start()
        return host

    yield start
    for host in started:
        await host.stop()
