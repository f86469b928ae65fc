"""The local functions host: a function app, served over HTTP on this machine."""

from collections.abc import Mapping, Sequence
from typing import Any

import azure.functions as func
from aiohttp import web
from azure.functions.queue import QueueMessage

from local.host.connection import KestrelServer
from local.host.indexing import index
from local.host.serving import AccessKeys, Front
from local.host_json import HttpOptions

# The default of `FUNCTIONS_REQUEST_BODY_SIZE_LIMIT`, in bytes.
_BODY_LIMIT = 100 * 1024 * 1024
_SHUTDOWN_SECONDS = 2.0


class Host:
    """Serves the functions of an app as Azure's host does, and calls its queue functions.

    Timers do not fire: `POST /admin/functions/NAME` with the master key runs one.

    `host_json` is the parsed `host.json`. `extra_routes` are for paths outside the route prefix (a console page) and
    come before the functions. `url` is the address without a slash at the end, empty before `start`.
    """

    def __init__(
        self,
        app: func.FunctionApp,
        host_json: Mapping[str, Any],
        *,
        function_key: str,
        master_key: str,
        body_limit: int = _BODY_LIMIT,
        extra_routes: Sequence[web.RouteDef] = (),
    ) -> None:
        options = HttpOptions.parse(host_json)
        found = index(app)
        self.url = ""
        self._queues = {function.queue_name: function for function in found.queues}
        self._timeout = options.function_timeout
        self._front = Front(found, options, AccessKeys(function_key, master_key), body_limit)
        self._extra_routes = extra_routes
        self._runners: list[web.BaseRunner] = []

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; port 0 takes a free one. Raises `OSError` if the port is taken."""
        app = web.Application(middlewares=[self._front.answer])
        app.add_routes(self._extra_routes)
        inner = web.AppRunner(app)
        await self._set_up(inner)
        runner = web.ServerRunner(KestrelServer(inner), shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._set_up(runner)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening, and give running calls a few seconds."""
        while self._runners:
            await self._runners.pop().cleanup()
        await self._front.finish()

    async def invoke_queue(self, queue_name: str, text: str, dequeue_count: int, message_id: str) -> None:
        """Call the function of a queue with a decoded message.

        Raises `KeyError` if the queue has no function, `TimeoutError`, and what the function raises.
        """
        # The worker's own class: `func.QueueMessage` has no dequeue count.
        message = QueueMessage(id=message_id, body=text, dequeue_count=dequeue_count)
        await self._queues[queue_name].call(message, self._timeout)

    async def _set_up(self, runner: web.BaseRunner) -> None:
        await runner.setup()
        self._runners.append(runner)
