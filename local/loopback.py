"""Keeps web pages of other sites away from what listens on this machine."""

import re
from typing import Final

from aiohttp import web

_LOCAL_HOST: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?")


def require_local_host(request: web.Request) -> None:
    """Raise `web.HTTPForbidden` if the header `Host` does not name this machine.

    A page can point its own name at 127.0.0.1 (DNS rebinding). Browsers then take this machine for the page's site.
    """
    if not _LOCAL_HOST.fullmatch(request.headers.get("Host", "")):
        raise web.HTTPForbidden(
            text="Only names of this machine are answered: 127.0.0.1, localhost or [::1]."
        )
