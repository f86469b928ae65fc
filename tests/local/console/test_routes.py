"""The answers of the console's routes."""

from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from local.console.routes import console_routes
from local.issuer import LocalIssuer
from shared.app import App
from tests.local.console.conftest import ABOUT, SIMULATOR_URL, operator_view


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("", "text/html"),
        ("/", "text/html"),
        ("/style.css", "text/css"),
        ("/main.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
        ("/config.json", "application/json"),
        ("/events", "application/json"),
        ("/status", "application/json"),
        ("/readiness", "application/json"),
    ],
)
async def test_every_answer_has_its_type_and_the_policy(
    console: aiohttp.ClientSession, path: str, content_type: str
) -> None:
    """Browsers may neither guess a type, store an answer, nor connect to anything but broker and simulator."""
    async with console.get(f"/console{path}") as response:
        assert response.status == 200
        expected = {
            "Content-Type": f"{content_type}; charset=utf-8",
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            f"connect-src 'self' {SIMULATOR_URL}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        assert expected.items() <= response.headers.items()


async def test_page_gets_a_token_where_callers_sign_in(app: App) -> None:
    """It is told so, and asks the issuer at its own address."""
    served = web.Application()
    issuer = LocalIssuer()
    served.add_routes(console_routes(SIMULATOR_URL, [], ABOUT, operator_view(app), issuer.answer_token))
    async with TestClient(TestServer(served)) as console:
        config = await (await console.get("/console/config.json")).json()
        answer = await (await console.post("/console/token", data={"sub": "anna"})).json()

    assert config["signIn"] is True
    assert answer["token_type"] == "Bearer"


async def test_page_gets_its_configuration_and_all_events_so_far(
    console: aiohttp.ClientSession, events: list[dict[str, Any]]
) -> None:
    """The page learns where the simulator is; events between two polls are in the second one, in their order."""
    async with console.get("/console/config.json") as response:
        assert await response.json() == ABOUT | {"simulatorUrl": SIMULATOR_URL, "signIn": False}
    for event in ({"id": "1", "data": {"passed": True}}, {"id": "2"}):
        events.append(event)
        async with console.get("/console/events") as response:
            assert await response.json() == events


@pytest.mark.parametrize("path", ["index.html", "..%2froutes.py", "%2e%2e/routes.py"])
async def test_path_outside_of_the_page_is_not_found(console: aiohttp.ClientSession, path: str) -> None:
    """Only the page's own files are served, whatever the path looks like."""
    async with console.get(f"/console/{path}") as response:
        assert response.status == 404
