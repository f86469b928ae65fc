"""A worker process that dies where it is told to.

`python -m tests.faults.worker` takes orders, a JSON line each, and answers each with how its worker ended: 0, or the
negative number of a signal. A worker is a fork of this process, so that a hundred deaths do not cost a hundred imports
of the SDKs; it builds an app of its own, with connections of its own, and shares nothing with the ones before it but
what is in Azurite, at Face and in the file of events.
"""

import asyncio
import importlib
import json
import os
import sys
import traceback
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

from create_session.use_case import create_session
from get_result.use_case import ResultQuery, get_result
from local.host import Host
from local.queues import MessageSource, QueuePump, StorageSource, queue_pump
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.app import App, build, install
from shared.events.publisher import Publisher
from shared.face.model import Face
from shared.queues.port import RESULTS_QUEUE, MessageQueue
from shared.settings import Settings
from shared.storage.port import EntityStore
from tests.faults.deaths import Fate, Mortal
from tests.faults.depth import Depth
from tests.faults.orders import LEASE_SECONDS, REQUEST_ID, Order, PromptQueue, command_of
from tests.support.time import FakeClock

_PATIENCE_SECONDS = 60
_PAUSE_SECONDS = 0.05
_ROOT = Path(__file__).parents[2]
_IMPORTED_LATE = (
    "function_app",
    "azure.data.tables.aio",
    "azure.storage.queue.aio",
    "shared.storage.tables.store",
)


def main() -> None:
    """Fork a worker for each order, one after the other, until there are no more."""
    for name in _IMPORTED_LATE:
        importlib.import_module(name)
    for line in sys.stdin:
        order = Order.from_text(line)
        child = os.fork()
        if child == 0:
            _end_with(order)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer.


def _end_with(order: Order) -> None:
    try:
        asyncio.run(_carry_out(order))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


async def _carry_out(order: Order) -> None:
    fate = Fate(order.death)
    async with asyncio.timeout(_PATIENCE_SECONDS), AsyncExitStack() as resources:
        plain = build(Settings.from_mapping(order.settings), clock=FakeClock(order.now))
        resources.push_async_callback(plain.aclose)
        app = _doomed(plain, fate)
        if order.task == "collect":
            await _collect(app, fate, resources)
        else:
            await _request(app, order)


def _doomed(app: App, fate: Fate) -> App:
    """The same app, with all its ports in the hands of fate."""
    return build(
        app.settings,
        clock=app.clock,
        face=cast(Face, Mortal("face", app.face, fate)),
        store=cast(EntityStore, Mortal("store", app.store, fate)),
        queue=cast(MessageQueue, Mortal("queue", PromptQueue(app.queue), fate)),
        publisher=cast(Publisher, Mortal("publisher", app.publisher, fate)),
    )


async def _collect(app: App, fate: Fate, resources: AsyncExitStack) -> None:
    install(app)
    connection_string = cast(Any, app.settings.storage_connection).reveal()
    source = StorageSource(connection_string, RESULTS_QUEUE)
    resources.push_async_callback(source.aclose)
    pump = _pump(app, cast(MessageSource, Mortal("message", source, fate)))
    depth = await resources.enter_async_context(Depth(connection_string))
    while await depth.count():
        if not await pump.drain_once():
            await asyncio.sleep(_PAUSE_SECONDS)


def _pump(app: App, source: MessageSource) -> QueuePump:
    host_json = json.loads((_ROOT / "host.json").read_text())
    functions = importlib.import_module("function_app").app
    host = Host(functions, host_json, function_key="unused", master_key="unused")
    return queue_pump(app, host, host_json, source=source, lease_seconds=LEASE_SECONDS)


async def _request(app: App, order: Order) -> None:
    if order.task == "create":
        await create_session(app, command_of(order.subject, order.secret))
    elif order.task == "poll":
        await get_result(app, ResultQuery(order.subject, order.secret, Caller(), REQUEST_ID))
    else:
        await revoke_session(app, order.subject, order.secret, Caller(), REQUEST_ID)


if __name__ == "__main__":
    main()
