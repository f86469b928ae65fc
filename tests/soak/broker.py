"""Serves the broker at a port: `python -m tests.soak.broker PORT`, with the settings of the environment.

As `python -m local serve`, but a message that a killed process had taken is delivered again after seconds, not minutes.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from function_app import app as functions
from local.host import Host
from local.queues import queue_pump
from shared.app import current_app

_HOST_JSON = Path(__file__).parents[2] / "host.json"
_LEASE_SECONDS = 10


async def _serve(port: int) -> None:
    host_json = json.loads(_HOST_JSON.read_text())
    async with AsyncExitStack() as resources:
        app = current_app()
        resources.push_async_callback(app.aclose)
        host = Host(functions, host_json, function_key="unused", master_key="unused")
        resources.push_async_callback(host.stop)
        pump = queue_pump(app, host, host_json, lease_seconds=_LEASE_SECONDS)
        resources.push_async_callback(pump.stop)
        await host.start(port=port)
        pump.start()
        print(host.url, flush=True)
        # Until it is killed.
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
