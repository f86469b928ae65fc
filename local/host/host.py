"""The local functions host: a function app, served over HTTP on this machine."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import azure.functions as func
from aiohttp import web
from azure.functions.queue import QueueMessage

from local.host.admin import Admin
from local.host.connection import KestrelServer
from local.host.indexing import index
from local.host.invoking import Invoker
from local.host.keys import AccessKeys
from local.host.options import HostOptions
from local.host.routing import Router
from local.host.serving import Front, Gate

__all__ = ["DEFAULT_BODY_LIMIT", "Host"]

# The default of FUNCTIONS_REQUEST_BODY_SIZE_LIMIT, in bytes.
DEFAULT_BODY_LIMIT = 100 * 1024 * 1024

_SHUTDOWN_SECONDS = 2.0


class Host:
    """Serves the functions of an app as Azure's host does, and hands messages to its queue functions.

    Timers do not fire: `POST /admin/functions/NAME` with the master key runs one.

    `host_json` is the parsed `host.json`. `extra_routes` are aiohttp's, for addresses outside the route
    prefix (a console page); they are asked first, and what they do not match goes on to the functions.
    `functions`, `queues` and `timers` list what the app holds, in the order of the function names.
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
        options = HostOptions.parse(host_json)
        found = index(app)
        self.functions = found.http
        self.queues = found.queues
        self.timers = found.timers
        self._invoker = Invoker(options.function_timeout)
        self._admin = Admin(found.timers, self._invoker)
        self._front = Front(
            Router(found.http, options.route_prefix),
            AccessKeys(function_key, master_key),
            self._invoker,
            Gate(options.max_concurrent, options.max_outstanding),
            self._admin,
            body_limit,
        )
        self._extra_routes = extra_routes
        self._runners: list[web.BaseRunner] = []
        self._url = ""

    @property
    def url(self) -> str:
        """Where the host listens, without a slash at the end; empty before `start`."""
        return self._url

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        extras = web.Application()
        extras.add_routes(self._extra_routes)
        inner = web.AppRunner(extras)
        await self._set_up(inner)
        runner = web.ServerRunner(
            _server(extras, cast(web.Server, inner.server), self._front), shutdown_timeout=_SHUTDOWN_SECONDS
        )
        await self._set_up(runner)
        await web.TCPSite(runner, host, port).start()
        self._url = f"http://{host}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening, and give calls under way a few seconds."""
        while self._runners:
            await self._runners.pop().cleanup()
        await self._admin.finish()

    async def invoke_queue(
        self, function_name: str, message_text: str, *, dequeue_count: int, message_id: str
    ) -> None:
        """Call a queue function with a message, already decoded from base64.

        Raises `LookupError` if no queue function has that name, `TimeoutError`, and what the function raises.
        Counting, hiding and poisoning the message is the caller's part.
        """
        function = next((queue for queue in self.queues if queue.name == function_name), None)
        if function is None:
            raise LookupError(f"No queue function is named {function_name!r}.")
        # What the worker makes: `func.QueueMessage` has no dequeue count. (It comes without annotations.)
        message = QueueMessage(id=message_id, body=message_text, dequeue_count=dequeue_count)
        await self._invoker.call(function, message)

    async def _set_up(self, runner: web.BaseRunner) -> None:
        await runner.setup()
        self._runners.append(runner)


def _server(extras: web.Application, inner: web.Server, front: Front) -> KestrelServer:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        match = await extras.router.resolve(cast(web.Request, request))
        if match.http_exception is None:
            return await inner.request_handler(request)
        return await front.answer(request)

    # The extra routes' handlers need requests that belong to their application.
    return KestrelServer(answer, request_factory=inner.request_factory)
