"""The whole service on a laptop over parts that fail for a while, in a time of its own."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

import httpx

from local.host import Host
from local.queues import MemorySource, QueuePump, queue_pump
from local.simulator import FaceSimulator
from shared.app import App, build, install
from shared.errors import EventsUnavailable, StorageUnavailable
from shared.queues.memory import MemoryQueue
from shared.settings import Settings
from tests.support.azurite import Azurite
from tests.support.broker import FACE_KEY, environment, function_app
from tests.support.intercepted import Call, Effect
from tests.support.publisher import FakePublisher
from tests.support.queue import FakeQueue
from tests.support.store import FakeStore
from tests.support.time import FakeClock

VERSIONS: Final = ("v1.1-preview.1", "v1.2")

_HOST_JSON: Final = Path(__file__).parents[2] / "host.json"
_PAUSE_SECONDS: Final = 0.02
_LATE_MS: Final = 20_000
"""Messages are delivered so late: those that are due within this time are handled together."""


class Outage:
    """Makes the calls of a double fail for some time; half of them have their effect, and lose only the answer."""

    def __init__(self, clock: FakeClock, error: Callable[[], Exception]) -> None:
        self.failed = 0
        self._clock = clock
        self._error = error
        self._ends_at = 0

    def begin(self, seconds: float) -> None:
        """Fail from now on, for so many seconds of the clock."""
        self._ends_at = self._clock() + round(seconds * 1000)

    async def around(self, _: Call, effect: Effect) -> object:
        """Run a call, as the double asks for."""
        if self._clock() >= self._ends_at:
            return await effect()
        self.failed += 1
        if self.failed % 2:
            await effect()
        raise self._error()


@dataclass(frozen=True, slots=True)
class Service:
    """A broker behind the local host, fed by its pump; `http` calls it, `phone` is the simulated Vision SDK.

    `apps` are its apps, by the version of the Face API that each uses.
    """

    apps: Mapping[str, App]
    simulator: FaceSimulator
    storage: Outage
    topic: Outage
    publisher: FakePublisher
    source: MemorySource
    pump: QueuePump
    clock: FakeClock
    http: httpx.AsyncClient
    phone: httpx.AsyncClient

    def use_version(self, version: str) -> None:
        """Use this version of the Face API from now on, as after a deployment with another setting."""
        install(self.apps[version])

    async def collect_until(self, ended: asyncio.Event) -> None:
        """Handle messages as they become visible."""
        while not ended.is_set():
            if not await self.pump.drain_once():
                await asyncio.sleep(_PAUSE_SECONDS)

    async def let_time_pass(self, seconds: float = inf) -> None:
        """Go from one due message to the next and handle each, for so long or until no message is left."""
        end = self.clock() + seconds * 1000
        while (due := min((m.visible_at for m in self.source.queue.messages), default=inf)) <= end:
            if due == inf:
                return
            self.clock.now = max(self.clock.now, int(due) + _LATE_MS)
            await self.pump.drain()


@asynccontextmanager
async def running_service(azurite: Azurite) -> AsyncIterator[Service]:
    """Start everything on free ports of loopback, and end it."""
    clock = FakeClock()
    storage = Outage(clock, lambda: StorageUnavailable("the store is too busy"))
    topic = Outage(clock, lambda: EventsUnavailable("the topic is down", retry_after=10))
    async with AsyncExitStack() as resources:
        simulator = FaceSimulator(key=FACE_KEY, clock=clock)
        await simulator.start()
        resources.push_async_callback(simulator.stop)
        tables = azurite.account.open_tables(prefix=f"t{secrets.token_hex(6)}", deadline=30)
        store, queue, publisher = FakeStore(tables), FakeQueue(MemoryQueue(clock)), FakePublisher()
        resources.push_async_callback(store.aclose)
        store.around = queue.around = storage.around
        publisher.around = topic.around
        settings = environment(simulator.url, ID_PEPPER="pepper-of-the-tests", THROTTLE_DEVICE="100/10m")
        apps = {}
        for version in VERSIONS:
            used = Settings.from_mapping(settings | {"FACE_API_VERSION": version})
            apps[version] = build(used, clock=clock, store=store, queue=queue, publisher=publisher)
            resources.push_async_callback(apps[version].aclose)
        host_json = json.loads(_HOST_JSON.read_text())
        host = Host(function_app(settings), host_json, function_key="unused", master_key="unused")
        await host.start()
        resources.push_async_callback(host.stop)
        source = MemorySource(queue.inner)
        pump = queue_pump(apps[VERSIONS[0]], host, host_json, source=source)
        http, phone = [
            await resources.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False, timeout=60))
            for url in (host.url, simulator.url)
        ]
        yield Service(apps, simulator, storage, topic, publisher, source, pump, clock, http, phone)
