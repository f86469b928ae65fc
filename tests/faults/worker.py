"""A worker process that dies at a given call.

It is a fork of a process that has imported the SDKs, so that a hundred deaths do not import them a hundred times. It
builds its own app with its own connections. It shares only Azurite, Face and the file of events with others.
"""

import asyncio
import json
import multiprocessing
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from create_session.use_case import CreateCommand, create_session
from local.host import Host
from local.queues import MessageSource, StorageSource, queue_pump
from shared.access import Caller
from shared.app import App, build, install
from shared.events.publisher import Publisher
from shared.face.model import Face, LivenessMode, SessionSpec
from shared.queues.port import RESULTS_QUEUE, MessageQueue
from shared.settings import Settings
from shared.storage.account import StorageAccount
from shared.storage.port import EntityStore
from tests.faults.deaths import Death, Fate, Mortal
from tests.support.azurite import count_messages
from tests.support.broker import function_app
from tests.support.time import FakeClock

TOKEN_SECONDS = 60
REQUEST_ID = "00000000-0000-4000-8000-000000000000"

_LEASE_SECONDS = 1
"""How long a message that a worker took is hidden from others, also after the worker's death."""
_PATIENCE_SECONDS = 60
_PAUSE_SECONDS = 0.05
_HOST_JSON = Path(__file__).parents[2] / "host.json"
_IMPORTED_LATE = ("azure.data.tables.aio", "azure.storage.queue.aio", "shared.storage.tables.store")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, *_IMPORTED_LATE])


@dataclass(frozen=True, slots=True)
class Order:
    """A create, or (None) the collection of results until the queue is empty.

    With it come the time (unix milliseconds), the settings, and where the worker dies.
    """

    create: CreateCommand | None
    now: int
    settings: Mapping[str, str]
    death: Death | None = None


class PromptQueue:
    """A queue without delays: these tests are not about them, and Azurite's clock cannot be moved."""

    def __init__(self, queue: MessageQueue) -> None:
        self._queue = queue

    async def send(self, text: str, _delay_seconds: float, *, patient: bool = False) -> None:
        await self._queue.send(text, 0, patient=patient)

    async def check(self) -> None:
        await self._queue.check()

    async def aclose(self) -> None:
        await self._queue.aclose()


async def run(order: Order) -> int:
    """Have a worker carry out an order; returns the exit code of its process."""
    process = _FORKS.Process(target=_work, args=(order,))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode is not None
    return process.exitcode


def _work(order: Order) -> None:
    asyncio.run(_carry_out(order))


async def _carry_out(order: Order) -> None:
    fate = Fate(order.death)
    async with asyncio.timeout(_PATIENCE_SECONDS), AsyncExitStack() as resources:
        plain = build(Settings.from_mapping(order.settings), clock=FakeClock(order.now))
        resources.push_async_callback(plain.aclose)
        app = _mortal(plain, fate)
        if order.create:
            await create_session(app, order.create)
        else:
            account = StorageAccount.local(order.settings["AzureWebJobsStorage"])
            source = StorageSource(account, RESULTS_QUEUE)
            resources.push_async_callback(source.aclose)
            await _collect(app, order.settings, account, cast(MessageSource, Mortal("message", source, fate)))


def _mortal(app: App, fate: Fate) -> App:
    """The same app, whose ports run under a fate."""
    return build(
        app.settings,
        clock=app.clock,
        face=cast(Face, Mortal("face", app.face, fate)),
        store=cast(EntityStore, Mortal("store", app.store, fate)),
        queue=cast(MessageQueue, Mortal("queue", PromptQueue(app.queue), fate)),
        publisher=cast(Publisher, Mortal("publisher", app.publisher, fate)),
    )


async def _collect(
    app: App, settings: Mapping[str, str], account: StorageAccount, source: MessageSource
) -> None:
    install(app)
    host_json = json.loads(_HOST_JSON.read_text())
    host = Host(function_app(settings), host_json, function_key="unused", master_key="unused")
    pump = queue_pump(app, host, host_json, source=source, lease_seconds=_LEASE_SECONDS)
    while await count_messages(account, RESULTS_QUEUE):
        if not await pump.drain_once():
            await asyncio.sleep(_PAUSE_SECONDS)


def command_of(device_id: str, idempotency_key: str | None) -> CreateCommand:
    """Make the create of a phone."""
    return CreateCommand(
        spec=SessionSpec(LivenessMode.PASSIVE, device_id, TOKEN_SECONDS),
        device_id=device_id,
        client_reference=None,
        caller=Caller(),
        idempotency_key=idempotency_key,
        fingerprint=device_id,
        request_id=REQUEST_ID,
    )
