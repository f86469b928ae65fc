"""The answers of the console's routes."""

from typing import Any

import aiohttp
import pytest

from tests.local.console.client import SIMULATOR_URL


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/console", "text/html; charset=utf-8"),
        ("/console/", "text/html; charset=utf-8"),
        ("/console/style.css", "text/css; charset=utf-8"),
        ("/console/main.js", "text/javascript; charset=utf-8"),
        ("/console/icon.svg", "image/svg+xml; charset=utf-8"),
        ("/console/config.json", "application/json; charset=utf-8"),
        ("/console/events", "application/json; charset=utf-8"),
    ],
)
async def test_every_answer_has_its_type_and_the_policy(
    console: aiohttp.ClientSession, path: str, content_type: str
) -> None:
    """Browsers may neither guess a type, store an answer, nor connect to anything but broker and simulator."""
    async with console.get(path) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, content_type)
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; ")
        assert f"connect-src 'self' {SIMULATOR_URL}; " in policy
        assert "frame-ancestors 'none'; require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        expected = {
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        assert expected.items() <= response.headers.items()


async def test_page_gets_its_configuration(console: aiohttp.ClientSession) -> None:
    """The page learns where the simulator is."""
    async with console.get("/console/config.json") as response:
        assert await response.json() == {"simulatorUrl": SIMULATOR_URL}


async def test_each_poll_lists_all_events_so_far(
    console: aiohttp.ClientSession, events: list[dict[str, Any]]
) -> None:
    """Events between two polls are in the second one, in their order."""
    for event in ({"id": "1", "data": {"passed": True}}, {"id": "2"}):
        events.append(event)
        async with console.get("/console/events") as response:
            assert await response.json() == events


@pytest.mark.parametrize(
    "path",
    ["/console/index.html", "/console/..%2froutes.py", "/console/%2e%2e/routes.py"],
)
async def test_path_outside_of_the_page_is_not_found(console: aiohttp.ClientSession, path: str) -> None:
    """Only the page's own files are served, whatever the path looks like."""
    async with console.get(path) as response:
        assert response.status == 404
