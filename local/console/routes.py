"""The routes of the console page, its configuration, its events, and what an operator sees."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from local.operator_view import OperatorView

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PAGE = Path(__file__).parent / "page"
# Not from `mimetypes`: that depends on the machine, and `nosniff` forbids browsers to guess.
_CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {simulator_url}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def console_routes(
    simulator_url: str,
    events: Iterable[Mapping[str, Any]],
    about: Mapping[str, str | bool],
    operator: OperatorView,
    answer_token: Handler | None = None,
) -> list[web.RouteDef]:
    """Return the routes of the page at `/console`, which plays the phone at `simulator_url`.

    `simulator_url` has no slash at the end. `events` are read at each poll of `/console/events`, the oldest first.
    `about` is what the page tells about the broker: `release`, `faceVersion`, and whether Face is `simulated`.
    `answer_token` answers the page's requests for access tokens; None where callers do not sign in.
    """
    headers = {
        "Content-Security-Policy": _POLICY.format(simulator_url=simulator_url),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }

    def file(path: str, name: str, content_type: str) -> web.RouteDef:
        content = (_PAGE / name).read_bytes()

        async def answer(_request: web.Request) -> web.Response:
            return web.Response(body=content, content_type=content_type, charset="utf-8", headers=headers)

        return web.get(path, answer)

    async def show_config(_request: web.Request) -> web.Response:
        config = {**about, "simulatorUrl": simulator_url, "signIn": answer_token is not None}
        return web.json_response(config, headers=headers)

    async def show_events(_request: web.Request) -> web.Response:
        return web.json_response(list(events), headers=headers)

    async def show_status(_request: web.Request) -> web.Response:
        return web.json_response(await operator.status(), headers=headers)

    async def check_readiness(_request: web.Request) -> web.Response:
        return web.json_response(await operator.readiness(), headers=headers)

    return [
        *(file(path, "index.html", "text/html") for path in ("/console", "/console/")),
        web.get("/console/config.json", show_config),
        web.get("/console/events", show_events),
        web.get("/console/status", show_status),
        web.get("/console/readiness", check_readiness),
        *([web.post("/console/token", answer_token)] if answer_token else []),
        *(
            file(f"/console/{path.name}", path.name, _CONTENT_TYPES[path.suffix])
            for path in _PAGE.iterdir()
            if path.suffix in _CONTENT_TYPES
        ),
    ]
