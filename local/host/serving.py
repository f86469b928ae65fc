"""Answers HTTP requests as the .NET host in front of the Python worker was seen to do.

What could not be copied exactly:

- What is not HTTP at all (a broken request line or header line) is answered with `HTTP/1.0 400`.
- Of headers that may come once only (`Content-Type`, `User-Agent`, `Host` and a few more) aiohttp refuses
  repeats with 400; the host joins them like any other.
- `functionTimeout` ends a call in time; the host took 15 s where 3 s were set, and ends the worker with it,
  so that a `def` function does not run on.
- Request headers keep their order; the host's is random.
- Nothing of the welcome page: the host behaves as with `AzureWebJobsDisableHomepage=true`.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import azure.functions as func
from aiohttp import web

from local.host.admin import Admin
from local.host.indexing import HttpFunction
from local.host.invoking import Invoker
from local.host.keys import AccessKeys
from local.host.messages import Refusal, bare, read_body, read_headers, read_query, render, to_function
from local.host.routing import BadPathError, Router, resolve_path

__all__ = ["Front", "Gate"]

_OPEN_TO_ANYBODY = frozenset({"/admin/host/ping", "/admin/warmup"})
_OWN_PREFIXES = ("/admin/", "/runtime/webhooks/")

logger = logging.getLogger(__name__)


class Gate:
    """`maxOutstandingRequests` and `maxConcurrentRequests`: the rest waits, or is refused with 429."""

    def __init__(self, concurrent: int | None, outstanding: int | None) -> None:
        self._slots = asyncio.Semaphore(sys.maxsize if concurrent is None else concurrent)
        self._outstanding = sys.maxsize if outstanding is None else outstanding
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


class Front:
    """Takes every request: the host's own addresses, then the functions, then the home page."""

    def __init__(
        self,
        router: Router,
        keys: AccessKeys,
        invoker: Invoker,
        gate: Gate,
        admin: Admin,
        body_limit: int,
    ) -> None:
        self._router = router
        self._keys = keys
        self._invoker = invoker
        self._gate = gate
        self._admin = admin
        self._body_limit = body_limit

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to any request."""
        try:
            return await self._answer(request)
        except BadPathError:
            return bare(400, close=True)
        except Refusal as refusal:
            return bare(refusal.status, close=refusal.close)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        headers, query = read_headers(request), read_query(request)
        path = resolve_path(request.rel_url.raw_path)
        if path.lower().startswith(_OWN_PREFIXES):
            opened = self._keys.opens(func.AuthLevel.ADMIN, headers, query)
            return await self._own(request, path.lower().rstrip("/"), opened)
        match = self._router.find(request.method, path)
        if match is None:
            # The home page is off (AzureWebJobsDisableHomepage=true). A wrong method is 404 too, never 405.
            return bare(204 if path == "/" else 404)
        async with self._gate.admit():
            if not self._keys.opens(match.function.auth_level, headers, query):
                raise Refusal(401)
            body = await read_body(request, self._body_limit)
            trigger = to_function(request, path, match, headers, query, body)
            return await self._call(match.function, trigger, request)

    async def _call(
        self, function: HttpFunction, trigger: func.HttpRequest, request: web.BaseRequest
    ) -> web.StreamResponse:
        try:
            result = await self._invoker.call(
                function, trigger, trace_parent=trigger.headers.get("traceparent", "")
            )
            return render(result, request)
        except Exception:
            # The caller learns nothing: the traceback is in the log only.
            logger.exception("Executed 'Functions.%s' (Failed)", function.name)
            return bare(500)

    async def _own(self, request: web.BaseRequest, path: str, opened: bool) -> web.Response:
        if path in _OPEN_TO_ANYBODY:
            return bare(200)
        if not opened:
            return bare(401)
        return bare(self._admin.answer(request.method, path, await read_body(request, self._body_limit)))
