"""The local functions host: serves a function app over HTTP on this machine.

Known differences from the real host:

- A broken request line or header line gets `HTTP/1.0 400`. A request line without a version is taken, and one with two
  blanks in a row.
- On a connection that began with a common method, a made-up one gets 400.
- The 404 for `CONNECT` has a text.
- aiohttp refuses repeats of headers that may come once only (`Content-Type`, `User-Agent`, `Host` and a few more)
  with 400; the host joins them like any other.
- `functionTimeout` ends a call in time. The host took 15 s with a limit of 3 s, and ends the worker with the call.
- Request headers keep their order; the host's order is random.
- There is no welcome page, as with `AzureWebJobsDisableHomepage=true`.
- `maxConcurrentRequests` and `maxOutstandingRequests` have no effect; our `host.json` does not set them.
"""

import asyncio
import hmac
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import azure.functions as func
from aiohttp import web
from aiohttp.typedefs import Middleware
from azure.functions.queue import QueueMessage
from azure.functions.timer import TimerRequest

from local.host.connection import KestrelServer
from local.host.indexing import IndexedFunction, index
from local.host.messages import Refusal, bare, read_body, read_headers, read_query, render, to_function
from local.host.routing import Router, resolve_path
from local.host_json import function_timeout, route_prefix

# The default of `FUNCTIONS_REQUEST_BODY_SIZE_LIMIT`, in bytes.
_BODY_LIMIT = 100 * 1024 * 1024
_SHUTDOWN_SECONDS = 2.0
_OPEN_TO_ALL = frozenset({"/admin/host/ping", "/admin/warmup"})
_OWN_PREFIXES = ("/admin/", "/runtime/webhooks/")
_FUNCTIONS = "/admin/functions/"

logger = logging.getLogger(__name__)


class Host:
    """Serves the functions of an app as Azure's host does, and calls its queue functions.

    Timers do not fire: `POST /admin/functions/NAME` with the master key runs one.

    `host_json` is the parsed `host.json`. `extra_routes` are for paths outside the route prefix (a console page) and
    come before the functions. `middlewares` see each request before both. `url` is the address without a slash at the
    end, empty before `start`.
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
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        functions = index(app)

        def triggered_by(kind: str) -> list[IndexedFunction]:
            return [function for function in functions if function.trigger["type"] == kind]

        self.url = ""
        self._router = Router(triggered_by("httpTrigger"), route_prefix(host_json))
        self._queues = {each.trigger["queueName"]: each for each in triggered_by("queueTrigger")}
        self._timers = {each.name.lower(): each for each in triggered_by("timerTrigger")}
        self._timeout = function_timeout(host_json)
        self.function_key = function_key
        self.master_key = master_key
        self._body_limit = body_limit
        self._extra_routes = extra_routes
        self._middlewares = middlewares
        self._runners: list[web.BaseRunner] = []
        self._running_timers: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; port 0 takes a free one. Raises `OSError` if the port is taken."""
        app = web.Application(middlewares=self._middlewares)
        app.add_routes(self._extra_routes)
        functions = _AnyPath("/")
        functions.add_route("*", self._serve)
        app.router.register_resource(functions)
        inner = web.AppRunner(app)
        await self._set_up(inner)
        runner = web.ServerRunner(KestrelServer(inner), shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._set_up(runner)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _set_up(self, runner: web.BaseRunner) -> None:
        await runner.setup()
        self._runners.append(runner)

    async def stop(self) -> None:
        """Stop listening, give running calls a few seconds, and wait for timers up to `functionTimeout`."""
        while self._runners:
            await self._runners.pop().cleanup()
        await asyncio.gather(*self._running_timers)

    async def invoke_queue(self, queue_name: str, text: str, dequeue_count: int, message_id: str) -> None:
        """Call the function of a queue with a decoded message.

        Raises `KeyError` if the queue has no function, `TimeoutError`, and what the function raises.
        """
        # The worker's own class: `func.QueueMessage` has no dequeue count.
        message = QueueMessage(id=message_id, body=text, dequeue_count=dequeue_count)
        await self._queues[queue_name].call(message, self._timeout)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that no extra route matches."""
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return bare(refusal.status, close=refusal.close)

    async def _answer(self, request: web.Request) -> web.Response:
        headers, query = read_headers(request), read_query(request)
        path = resolve_path(request.rel_url.raw_path)
        key = headers.get("x-functions-key") or query.get("code", "")
        if path.lower().startswith(_OWN_PREFIXES):
            return bare(await self._own(request, path.lower().rstrip("/"), key))
        match = self._router.find(request.method, path)
        if match is None:
            # The home page is off. A wrong method is 404 too, never 405.
            return bare(204 if path == "/" else 404)
        function, route_params = match
        if not self._opens(key, function.trigger.get("authLevel", "FUNCTION")):
            return bare(401)
        body = await read_body(request, self._body_limit)
        try:
            trigger = to_function(request, path, route_params, headers, query, body)
            return render(await function.call(trigger, self._timeout), request)
        except Exception:
            # The caller gets no detail: the traceback is in the log only.
            logger.exception("Executed 'Functions.%s' (Failed)", function.name)
            return bare(500)

    def _opens(self, given: str, level: str) -> bool:
        """Return whether a key opens an auth level. The master key opens everything."""
        accepted = {"ADMIN": [self.master_key], "FUNCTION": [self.master_key, self.function_key]}
        return level == "ANONYMOUS" or any(
            key and hmac.compare_digest(given.encode(), key.encode()) for key in accepted[level]
        )

    async def _own(self, request: web.Request, path: str, key: str) -> int:
        """Return the status for one of the host's own paths, in lower case.

        A POST to a timer function with a JSON object starts it (202) and does not wait for its end:
        https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
        """
        if path in _OPEN_TO_ALL:
            return 200
        if not self._opens(key, "ADMIN"):
            return 401
        timer = self._timers.get(path.removeprefix(_FUNCTIONS))
        if request.method != "POST" or timer is None:
            return 404
        if not _is_object(await read_body(request, self._body_limit)):
            return 400
        task = asyncio.create_task(self._run(timer))
        self._running_timers.add(task)
        task.add_done_callback(self._running_timers.discard)
        return 202

    async def _run(self, timer: IndexedFunction) -> None:
        try:
            await timer.call(TimerRequest(past_due=False), self._timeout)
        except Exception:
            logger.exception("Executed 'Functions.%s' (Failed)", timer.name)


class _AnyPath(web.PlainResource):
    """Takes the paths that no other route takes, `*` among them."""

    def _match(self, path: str) -> dict[str, str] | None:
        return {}


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False
