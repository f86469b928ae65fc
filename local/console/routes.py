"""The routes that serve the console page, its configuration and its events."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

Events = Callable[[], Sequence[Mapping[str, Any]]]
"""Answers the events so far as JSON objects, the oldest first. It must not block."""

_Handler = Callable[[web.Request], Awaitable[web.Response]]

_PAGE = Path(__file__).parent / "page"
_CONTENT_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def console_routes(simulator_url: str, *, events: Events | None = None) -> list[web.RouteDef]:
    """Return the routes of the page at `/console`, for a page that plays the phone at `simulator_url`.

    `simulator_url` has no slash at the end: it is what the page may connect to besides its own origin. `events` is
    asked at every poll of `/console/events`; without it the list is empty, and the page says so. Raises `OSError`
    where a file of the page cannot be read: all are read here, once.
    """
    headers = _headers(simulator_url)
    config = {"simulatorUrl": simulator_url, "eventsConnected": events is not None}
    page = _constant((_PAGE / "index.html").read_bytes(), "text/html", headers)
    return [
        web.get("/console", page),
        web.get("/console/", page),
        web.get("/console/config.json", _json(lambda: config, headers)),
        web.get("/console/events", _json(events or list, headers)),
        *(_asset(path, headers) for path in sorted(_PAGE.iterdir()) if path.suffix in _CONTENT_TYPES),
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


def _asset(path: Path, headers: Mapping[str, str]) -> web.RouteDef:
    return web.get(
        f"/console/{path.name}", _constant(path.read_bytes(), _CONTENT_TYPES[path.suffix], headers)
    )


def _constant(content: bytes, content_type: str, headers: Mapping[str, str]) -> _Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=content, content_type=content_type, charset="utf-8", headers=headers)

    return answer


def _json(value: Callable[[], object], headers: Mapping[str, str]) -> _Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(value()), content_type="application/json", headers=headers)

    return answer
