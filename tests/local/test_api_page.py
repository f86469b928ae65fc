"""The page that renders the OpenAPI document."""

import re

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from local.api_page import api_page_routes


async def test_page_and_all_that_it_loads_are_served() -> None:
    """It loads nothing from elsewhere."""
    app = web.Application()
    app.add_routes(api_page_routes("http://127.0.0.1:7072"))
    async with TestClient(TestServer(app)) as client:
        page = await (await client.get("/docs")).text()
        assert "curl -X POST http://127.0.0.1:7072/simulator/perform" in page
        loaded = re.findall(r'(?:src|link.*href)="([^"]+)"', page)
        assert len(loaded) == 4
        for path in loaded:
            answer = await client.get(path)
            assert answer.status == 200
            assert answer.content_type in ("image/png", "text/css", "text/javascript")
