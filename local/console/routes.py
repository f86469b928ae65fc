"""The routes of the console page, its configuration and its events."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

Events = Callable[[], Sequence[Mapping[str, Any]]]
"""Answers the events so far as JSON objects, the oldest first. It must not block."""

_Handler = Callable[[web.Request], Awaitable[web.Response]]

_PAGE = Path(__file__).parent / "page"
# Not from `mimetypes`: that depends on the machine, and `nosniff` forbids browsers to guess.
_CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def console_routes(simulator_url: str, events: Events) -> list[web.RouteDef]:
    """Return the routes of the page at `/console`, which plays the phone at `simulator_url`.

    `simulator_url` has no slash at the end. `events` is called at each poll of `/console/events`.
    """
    headers = _headers(simulator_url)
    config = {"simulatorUrl": simulator_url}
    page = _file(_PAGE / "index.html", "text/html", headers)
    assets = sorted(path for path in _PAGE.iterdir() if path.suffix in _CONTENT_TYPES)
    return [
        web.get("/console", page),
        web.get("/console/", page),
        web.get("/console/config.json", _json(lambda: config, headers)),
        web.get("/console/events", _json(events, headers)),
        *(
            web.get(f"/console/{path.name}", _file(path, _CONTENT_TYPES[path.suffix], headers))
            for path in assets
        ),
    ]


def _headers(simulator_url: str) -> dict[str, str]:
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        f"connect-src 'self' {simulator_url}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _file(path: Path, content_type: str, headers: Mapping[str, str]) -> _Handler:
    content = path.read_bytes()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=content, content_type=content_type, charset="utf-8", headers=headers)

    return answer


def _json(value: Callable[[], object], headers: Mapping[str, str]) -> _Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(value(), headers=headers)

    return answer
