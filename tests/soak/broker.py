"""Serves the broker at a port: `python -m tests.soak.broker PORT`, with the settings of the environment.

As `python -m local serve`, but a message that a killed process had taken is delivered again after seconds, not minutes.
"""

import asyncio
import sys

from local.broker import running_broker


async def _serve(port: int) -> None:
    async with running_broker(port, lease_seconds=10) as broker:
        print(broker.url, flush=True)
        # Until it is killed.
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
