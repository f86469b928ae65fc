"""Serves the console's routes on a free port, and reads its page."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from html.parser import HTMLParser

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

SIMULATOR_URL = "http://127.0.0.1:7072"

Attributes = dict[str, str | None]


@asynccontextmanager
async def serving(routes: Iterable[web.RouteDef]) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve routes over loopback, and give a client of them."""
    application = web.Application()
    application.add_routes(routes)
    async with TestServer(application) as server, aiohttp.ClientSession(server.make_url("/")) as client:
        yield client


class Page(HTMLParser):
    """The tags of a page with their attributes, in order, and the text inside of scripts and styles."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Attributes]] = []
        self.inline_code = ""
        self._inside = ""
        self.feed(markup)
        self.close()

    @property
    def ids(self) -> list[str]:
        """Every id of the page."""
        return [each["id"] or "" for _, each in self.tags if "id" in each]

    def all(self, *names: str) -> list[Attributes]:
        """The attributes of every tag with one of these names."""
        return [attributes for name, attributes in self.tags if name in names]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"}:
            self.inline_code += data
