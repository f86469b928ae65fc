"""A host for each test, on loopback."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import azure.functions as func
import pytest

from local.host import Host
from tests.local.host.client import Serve


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start hosts whose function key is `function-key` and whose master key is `master-key`."""
    started: list[Host] = []

    async def start(app: func.FunctionApp, host_json: Mapping[str, Any] | None = None, **more: Any) -> Host:  # noqa: ANN401 - the host's own parameters.
        host = Host(app, host_json or {}, function_key="function-key", master_key="master-key", **more)
        started.append(host)
        await host.start()
        return host

    yield start
    for host in started:
        await host.stop()
