"""Keeps web pages of other sites away from everything that listens on this machine."""

import re
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

# 10.0.2.2 is this machine for Android's emulator: https://developer.android.com/studio/run/emulator-networking
_HOST: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\]|10\.0\.2\.2)(:[0-9]{1,5})?")
_ORIGIN: Final = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?")
_READING: Final = ("GET", "HEAD")


def only_this_machine(allowed_origins: Collection[str] = ()) -> Middleware:
    """Return the middleware that answers 403 to requests by another site's name or from its pages.

    A site can point its own name at 127.0.0.1 (DNS rebinding). Browsers then take this machine for that site, so the
    header `Host` has to name this machine. A page can also send requests to 127.0.0.1 itself. It cannot read the
    answers. A request that may change something needs an `Origin` of this machine, or one of `allowed_origins`.
    """

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if not _HOST.fullmatch(request.headers.get("Host", "")):
            problem = "Only names of this machine are answered: 127.0.0.1, localhost or [::1]."
        elif request.method in _READING or origin is None or is_local(origin) or origin in allowed_origins:
            return await handler(request)
        else:
            problem = "Only pages of this machine may send this request."
        return web.Response(status=403, text=problem)

    return guard


def is_local(origin: str) -> bool:
    """Whether an `Origin` is that of a page served from this machine."""
    return _ORIGIN.fullmatch(origin) is not None
