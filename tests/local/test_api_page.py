"""The page that renders the OpenAPI document."""

import re

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from local.api_page import api_page_routes


async def test_page_and_all_that_it_loads_are_served() -> None:
    """It loads nothing from elsewhere."""
    app = web.Application()
    app.add_routes(api_page_routes())
    async with TestClient(TestServer(app)) as client:
        page = await (await client.get("/docs")).text()
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert len(loaded) == 4
        for path in loaded:
            answer = await client.get(path)
            assert answer.status == 200
            assert answer.content_type in ("image/png", "text/css", "text/javascript")
