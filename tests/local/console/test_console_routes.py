"""What the console's routes answer."""

import aiohttp
import pytest

from local.console import console_routes
from tests.local.console.console_client import SIMULATOR_URL, EventList, serving

EVERY_PATH = [
    "/console",
    "/console/",
    "/console/config.json",
    "/console/events",
    "/console/main.js",
    "/console/style.css",
    "/console/icon.svg",
]


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
async def test_path_is_asked_for_answers_its_content_type(
    console: aiohttp.ClientSession, path: str, content_type: str
) -> None:
    """Each address answers 200 with the type that a browser needs, since it may not guess."""
    async with console.get(path) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, content_type)


@pytest.mark.parametrize("path", EVERY_PATH)
async def test_any_answer_carries_the_policy(console: aiohttp.ClientSession, path: str) -> None:
    """Every answer forbids whatever the page does not need, and connections to all but broker and simulator."""
    async with console.get(path) as response:
        policy = response.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "style-src 'self'" in policy
        assert f"connect-src 'self' {SIMULATOR_URL}" in policy
        assert "frame-ancestors 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", EVERY_PATH)
async def test_any_answer_is_neither_stored_nor_guessed_at(console: aiohttp.ClientSession, path: str) -> None:
    """No answer stays in a cache, is taken for another type, or tells another site where it was."""
    async with console.get(path) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_console_with_events_configures_page(console: aiohttp.ClientSession) -> None:
    """The page learns where the simulator is, and that events will come."""
    async with console.get("/console/config.json") as response:
        assert await response.json() == {"simulatorUrl": SIMULATOR_URL, "eventsConnected": True}


async def test_console_without_events_says_so_and_lists_none() -> None:
    """Where nobody hands events over, the list is empty and the page is told why."""
    async with serving(console_routes(SIMULATOR_URL)) as console:
        async with console.get("/console/config.json") as response:
            assert (await response.json())["eventsConnected"] is False
        async with console.get("/console/events") as response:
            assert await response.json() == []


async def test_events_come_between_polls_are_listed_at_the_next(
    console: aiohttp.ClientSession, event_list: EventList
) -> None:
    """Each poll asks anew, and answers all the events so far in their order."""
    first, second = {"id": "1", "data": {"passed": True}}, {"id": "2"}
    event_list.events.append(first)
    async with console.get("/console/events") as response:
        assert await response.json() == [first]
    event_list.events.append(second)
    async with console.get("/console/events") as response:
        assert await response.json() == [first, second]


@pytest.mark.parametrize(
    "path",
    ["/console/index.html", "/console/routes.py", "/console/..%2froutes.py", "/console/%2e%2e/routes.py"],
)
async def test_path_outside_of_the_page_is_not_found(console: aiohttp.ClientSession, path: str) -> None:
    """Only the page's own files are served, whatever the address looks like."""
    async with console.get(path) as response:
        assert response.status == 404


async def test_page_is_posted_to_is_refused(console: aiohttp.ClientSession) -> None:
    """The page takes nothing in."""
    async with console.post("/console", data=b"{}") as response:
        assert response.status == 405
