"""The broker behind the local functions host, with the settings of the process's environment."""

import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from local.host import Host
from local.loopback import only_this_machine
from local.queues import MessageSource, queue_pump

FUNCTION_KEY: Final = "local-function-key"
"""The function key of a run that has nothing worth guarding: all requests of docs/ work as they are."""

_ROOT = Path(__file__).parents[1]
_BODY_LIMIT = 65_536


@asynccontextmanager
async def running_broker(
    port: int = 0,
    extra_routes: Sequence[web.RouteDef] = (),
    *,
    function_key: str | None = None,
    lease_seconds: float | None = None,
    source: MessageSource | None = None,
) -> AsyncIterator[Host]:
    """Serve on loopback and feed the queue function until the block ends.

    Without `function_key` the key is a random one. `lease_seconds` replaces the ten minutes in which a message that a
    dead process took is hidden. `source` is the queue that it feeds from; by default the app's.

    Raises `SettingsError`, and `OSError` if the port is taken.
    """
    # Imported here: the app reads its settings when it is imported, as in Azure.
    from function_app import app as functions
    from shared.app import current_app

    host_json = read_host_json()
    async with AsyncExitStack() as resources:
        app = current_app()
        resources.push_async_callback(app.aclose)
        host = Host(
            functions,
            host_json,
            function_key=function_key or secrets.token_urlsafe(16),
            master_key=secrets.token_urlsafe(16),
            body_limit=_BODY_LIMIT,
            extra_routes=extra_routes,
            middlewares=[only_this_machine(app.settings.allowed_origins)],
        )
        resources.push_async_callback(host.stop)
        pump = queue_pump(app, host, host_json, source=source, lease_seconds=lease_seconds)
        resources.push_async_callback(pump.stop)
        await host.start(port=port)
        pump.start()
        yield host


def read_host_json() -> dict[str, Any]:
    """Read the settings of the functions host."""
    return dict(json.loads((_ROOT / "host.json").read_text(encoding="utf-8")))
