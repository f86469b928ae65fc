"""The whole service on a laptop, over parts that fail for a while, in a time of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Final

import httpx

from local.host import Host
from local.queues import QueueOptions, QueuePump, StorageSource
from local.simulator import FaceSimulator
from shared.app import App, build, install
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE
from shared.settings import Settings
from tests.faults.depth import Depth, counted
from tests.faults.later_queue import LATER_QUEUE, Delivery, LaterQueue
from tests.faults.weak_storage import WeakStorage
from tests.faults.weak_topic import WeakTopic
from tests.support.azurite import Azurite
from tests.support.broker import FACE_KEY, environment, function_app
from tests.support.time import FakeClock

VERSIONS: Final = ("v1.1-preview.1", "v1.2")

_ROOT: Final = Path(__file__).parents[2]
_PAUSE_SECONDS: Final = 0.02
_LATE_MS: Final = 20_000
"""How late messages are delivered: those that are due within so long are dealt with together."""

# The host's own times would be waited for in real time: ten minutes, five minutes, and two seconds. What raised is
# delivered again at once here, which makes poison likelier; tests/local/queues asks how long the host goes on trying.
_LEASE_SECONDS, _RETRY_SECONDS, _POLL_SECONDS = 3.0, 0.0, 0.02


@dataclass(frozen=True, slots=True)
class Service:
    """A broker behind the local host, fed by its pump; `http` calls it, `phone` is the simulated Vision SDK.

    `apps` are its apps, by the version of the Face API that each speaks.
    """

    apps: Mapping[str, App]
    simulator: FaceSimulator
    storage: WeakStorage
    topic: WeakTopic
    clock: FakeClock
    http: httpx.AsyncClient
    phone: httpx.AsyncClient
    azurite: Azurite
    delivery: Delivery

    def speak(self, version: str) -> None:
        """Let this version of the Face API be spoken from now on: what a deployment with another setting does."""
        install(self.apps[version])

    async def let_time_pass(self, seconds: float = inf) -> None:
        """Go from one due message to the next, and let each be dealt with, for so long or until none is left."""
        end = self.clock() + seconds * 1000
        await self._all_dealt_with()
        while (due := await self.delivery.next_due()) is not None and due <= end:
            self.clock.now = max(self.clock.now, due + _LATE_MS)
            await self.delivery.deliver(self.clock.now)
            await self._all_dealt_with()

    async def messages(self) -> tuple[int, ...]:
        """Count the messages that are left: to be shown now, later, and never (poison)."""
        return await counted(self.azurite.connection_string, RESULTS_QUEUE, LATER_QUEUE, POISON_QUEUE)

    async def _all_dealt_with(self) -> None:
        async with Depth(self.azurite.connection_string) as depth:
            while await depth.count():  # noqa: ASYNC110 - it is another process that counts.
                await asyncio.sleep(_PAUSE_SECONDS)


@asynccontextmanager
async def running_service(azurite: Azurite) -> AsyncIterator[Service]:
    """Start everything on free ports of loopback, and end it."""
    clock, topic = FakeClock(), WeakTopic()
    async with AsyncExitStack() as resources:
        simulator = FaceSimulator(key=FACE_KEY, clock=clock)
        await simulator.start()
        resources.push_async_callback(simulator.stop)
        storage = await resources.enter_async_context(WeakStorage(azurite))
        settings = environment(
            simulator.url,
            AzureWebJobsStorage=storage.connection_string,
            ID_PEPPER="pepper-of-the-tests",
            THROTTLE_DEVICE="100/10m",
        )
        queue = LaterQueue(storage.connection_string, clock)
        resources.push_async_callback(queue.aclose)
        apps = {}
        for version in VERSIONS:
            spoken = Settings.from_mapping(settings | {"FACE_API_VERSION": version})
            apps[version] = build(spoken, clock=clock, queue=queue, publisher=topic)
            resources.push_async_callback(apps[version].aclose)
        host = await _host(settings, resources)
        await _pump(host, storage, resources)
        delivery = Delivery(azurite.connection_string)
        resources.push_async_callback(delivery.aclose)
        http, phone = [
            await resources.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False, timeout=60))
            for url in (host.url, simulator.url)
        ]
        yield Service(apps, simulator, storage, topic, clock, http, phone, azurite, delivery)


async def _host(settings: dict[str, str], resources: AsyncExitStack) -> Host:
    host = Host(function_app(settings), _host_json(), function_key="unused", master_key="unused")
    await host.start()
    resources.push_async_callback(host.stop)
    return host


async def _pump(host: Host, storage: WeakStorage, resources: AsyncExitStack) -> None:
    [function] = host.queues
    options = replace(
        QueueOptions.parse(_host_json()),
        retry_after=_RETRY_SECONDS,
        longest_poll=_POLL_SECONDS,
        lease=_LEASE_SECONDS,
    )
    source = StorageSource(storage.connection_string, RESULTS_QUEUE)
    pump = QueuePump(source, partial(host.invoke_queue, function.name), options, name=RESULTS_QUEUE)
    pump.start()
    resources.push_async_callback(pump.stop)


def _host_json() -> dict[str, object]:
    content: dict[str, object] = json.loads((_ROOT / "host.json").read_text())
    return content
