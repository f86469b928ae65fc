"""Answers HTTP requests as the .NET host before the Python worker does.

Known differences:

- A broken request line or header line gets `HTTP/1.0 400`.
- aiohttp refuses repeats of headers that may come once only (`Content-Type`, `User-Agent`, `Host` and a few more)
  with 400; the host joins them like any other.
- `functionTimeout` ends a call in time. The host took 15 s with a limit of 3 s, and ends the worker with the call,
  so that a `def` function does not run on.
- Request headers keep their order; the host's order is random.
- There is no welcome page, as with `AzureWebJobsDisableHomepage=true`.
"""

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import azure.functions as func
from aiohttp import web
from azure.functions.timer import TimerRequest

from local.host.indexing import FunctionIndex, HttpFunction, TimerFunction
from local.host.messages import Refusal, bare, read_body, read_headers, read_query, render, to_function
from local.host.routing import Router, resolve_path
from local.host_json import HttpOptions

_OPEN_TO_ALL = frozenset({"/admin/host/ping", "/admin/warmup"})
_OWN_PREFIXES = ("/admin/", "/runtime/webhooks/")
_FUNCTIONS = "/admin/functions/"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccessKeys:
    """The function key, and the master key, which opens everything."""

    function_key: str = field(repr=False)
    master_key: str = field(repr=False)

    def open(self, level: func.AuthLevel, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Return whether the key in the header `x-functions-key`, or else in the query's `code`, suffices."""
        if level is func.AuthLevel.ANONYMOUS:
            return True
        given = headers.get("x-functions-key") or query.get("code", "")
        accepted = [self.master_key]
        if level is func.AuthLevel.FUNCTION:
            accepted.append(self.function_key)
        return any(key and hmac.compare_digest(given.encode(), key.encode()) for key in accepted)


class Front:
    """Answers every request that no extra route matches: the host's own paths, the functions, the home page."""

    def __init__(
        self, functions: FunctionIndex, options: HttpOptions, keys: AccessKeys, body_limit: int
    ) -> None:
        self._router = Router(functions.http, options.route_prefix)
        self._timers = {timer.name.lower(): timer for timer in functions.timers}
        self._timeout = options.function_timeout
        self._gate = _Gate(options.max_concurrent, options.max_outstanding)
        self._keys = keys
        self._body_limit = body_limit
        self._running_timers: set[asyncio.Task[None]] = set()

    @web.middleware
    async def answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer one request."""
        if request.match_info.http_exception is None:
            return await handler(request)
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return bare(refusal.status, close=refusal.close)

    async def finish(self) -> None:
        """Wait for the timers that run; `functionTimeout` limits them."""
        await asyncio.gather(*self._running_timers)

    async def _answer(self, request: web.Request) -> web.Response:
        headers, query = read_headers(request), read_query(request)
        path = resolve_path(request.rel_url.raw_path)
        if path.lower().startswith(_OWN_PREFIXES):
            opened = self._keys.open(func.AuthLevel.ADMIN, headers, query)
            return bare(await self._own(request, path.lower().rstrip("/"), opened))
        match = self._router.find(request.method, path)
        if match is None:
            # The home page is off. A wrong method is 404 too, never 405.
            return bare(204 if path == "/" else 404)
        async with self._gate.admit():
            function, route_params = match
            if not self._keys.open(function.auth_level, headers, query):
                raise Refusal(401)
            body = await read_body(request, self._body_limit)
            trigger = to_function(request, path, route_params, headers, query, body)
            return await self._call(function, trigger, request)

    async def _call(
        self, function: HttpFunction, trigger: func.HttpRequest, request: web.Request
    ) -> web.Response:
        try:
            return render(await function.call(trigger, self._timeout), request)
        except Exception:
            # The caller gets no detail: the traceback is in the log only.
            logger.exception("Executed 'Functions.%s' (Failed)", function.name)
            return bare(500)

    async def _own(self, request: web.Request, path: str, opened: bool) -> int:
        """Return the status for one of the host's own paths, in lower case.

        A POST to a timer function with a JSON object starts it (202) and does not wait for its end:
        https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
        """
        if path in _OPEN_TO_ALL:
            return 200
        if not opened:
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

    async def _run(self, timer: TimerFunction) -> None:
        try:
            await timer.call(TimerRequest(past_due=False), self._timeout)
        except Exception:
            logger.exception("Executed 'Functions.%s' (Failed)", timer.name)


class _Gate:
    """`maxOutstandingRequests` and `maxConcurrentRequests`: requests wait, or are refused with 429."""

    def __init__(self, concurrent: int, outstanding: int) -> None:
        self._slots = asyncio.Semaphore(concurrent)
        self._outstanding = outstanding
        self._inside = 0

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Hold a place while the request is answered; raises `Refusal`."""
        if self._inside >= self._outstanding:
            raise Refusal(429)
        self._inside += 1
        try:
            async with self._slots:
                yield
        finally:
            self._inside -= 1


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False
