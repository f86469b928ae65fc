"""The broker behind the local functions host, as the process's environment sets it up."""

import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from local.host import Host

_ROOT = Path(__file__).parents[1]
_BODY_LIMIT = 65_536


@dataclass(frozen=True, slots=True)
class LocalBroker:
    """A running broker, and the key that opens what is for operators."""

    url: str
    function_key: str


@asynccontextmanager
async def running_broker(
    port: int = 0, extra_routes: Sequence[web.RouteDef] = ()
) -> AsyncIterator[LocalBroker]:
    """Serve on loopback until the block ends; raises `SettingsError`, and `OSError` where the port is taken."""
    # Only now: the app reads its settings when it is imported, as it does in Azure.
    from function_app import app
    from shared.bootstrap import current_app

    function_key = secrets.token_urlsafe(16)
    host = Host(
        app,
        json.loads((_ROOT / "host.json").read_text()),
        function_key=function_key,
        master_key=secrets.token_urlsafe(16),
        body_limit=_BODY_LIMIT,
        extra_routes=extra_routes,
    )
    await host.start(port=port)
    try:
        yield LocalBroker(host.url, function_key)
    finally:
        await host.stop()
        await current_app().aclose()
