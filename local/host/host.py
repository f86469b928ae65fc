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

DEFAULT_BODY_LIMIT = 100 * 1024 * 1024
"""The default of `FUNCTIONS_REQUEST_BODY_SIZE_LIMIT`, in bytes."""

_SHUTDOWN_SECONDS = 2.0


class Host:
    """Serves the functions of an app as Azure's host does, and calls its queue functions.

    Timers do not fire: `POST /admin/functions/NAME` with the master key runs one.

    `host_json` is the parsed `host.json`. `extra_routes` are aiohttp's, for paths outside the route prefix (a console
    page); they come before the functions. `functions`, `queues` and `timers` list the functions of the app, in the
    order of their names.
    """

    def __init__(
        self,
        app: func.FunctionApp,
        host_json: Mapping[str, Any],
        *,
        function_key: str,
        master_key: str,
        body_limit: int = DEFAULT_BODY_LIMIT,
        extra_routes: Sequence[web.RouteDef] = (),
    ) -> None:
        options = HttpOptions.parse(host_json)
        found = index(app)
        self.functions = found.http
        self.queues = found.queues
        self.timers = found.timers
        self._timeout = options.function_timeout
        self._front = Front(found, options, AccessKeys(function_key, master_key), body_limit)
        self._extra_routes = extra_routes
        self._runners: list[web.BaseRunner] = []
        self._url = ""

    @property
    def url(self) -> str:
        """Where the host listens, without a slash at the end; empty before `start`."""
        return self._url

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises `OSError` if the port is taken."""
        app = web.Application(middlewares=[self._front.answer])
        app.add_routes(self._extra_routes)
        inner = web.AppRunner(app)
        await self._set_up(inner)
        runner = web.ServerRunner(KestrelServer(inner), shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._set_up(runner)
        await web.TCPSite(runner, host, port).start()
        self._url = f"http://{host}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening, and give running calls a few seconds."""
        while self._runners:
            await self._runners.pop().cleanup()
        await self._front.finish()

    async def invoke_queue(
        self, function_name: str, message_text: str, *, dequeue_count: int, message_id: str
    ) -> None:
        """Call a queue function with a message, already decoded from base64.

        Raises `LookupError` if no queue function has that name, `TimeoutError`, and what the function raises. The
        caller counts and hides the message, and moves it to the poison queue.
        """
        function = next((queue for queue in self.queues if queue.name == function_name), None)
        if function is None:
            raise LookupError(f"No queue function is named {function_name!r}.")
        # The worker's own class: `func.QueueMessage` has no dequeue count.
        message = QueueMessage(id=message_id, body=message_text, dequeue_count=dequeue_count)
        await function.call(message, self._timeout)

    async def _set_up(self, runner: web.BaseRunner) -> None:
        await runner.setup()
        self._runners.append(runner)
