"""Pages that point their own name at this machine get nothing from the local servers."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from local.console.routes import console_routes
from local.issuer import LocalIssuer
from local.simulator import FaceSimulator

GOOD = ("127.0.0.1", "127.0.0.1:7071", "localhost", "localhost:1", "[::1]", "[::1]:7071")
BAD = (
    *("evil.example", "evil.example:7071", "127.0.0.1.evil.example", "localhost.evil.example:7071"),
    *("evil.example@127.0.0.1", "127.0.0.1:", "127.0.0.1:evil", "[::1].evil.example", "10.0.0.1", ""),
)
CONSOLE = [("GET", "/console/config.json"), ("GET", "/console/events")]
ISSUER = [("GET", "/.well-known/openid-configuration"), ("GET", "/keys"), ("POST", "/token")]
SIMULATOR = [
    *(("POST", "/simulator/perform"), ("POST", "/simulator/fault"), ("DELETE", "/simulator/fault")),
    ("GET", "/simulator/scenarios"),
]


@pytest.fixture
async def servers() -> AsyncIterator[dict[str, str]]:
    """The URLs of console, issuer and simulator."""
    app = web.Application()
    app.add_routes(console_routes("http://127.0.0.1:7072", []))
    runner, issuer, simulator = web.AppRunner(app), LocalIssuer(), FaceSimulator(key="a-key")
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await issuer.start()
    await simulator.start()
    console = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield {"console": console, "issuer": issuer.url, "simulator": simulator.url}
    await simulator.stop()
    await issuer.stop()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("server", "method", "path"),
    [
        *(("console", *route) for route in CONSOLE),
        *(("issuer", *route) for route in ISSUER),
        *(("simulator", *route) for route in SIMULATOR),
    ],
)
async def test_other_names_than_this_machine_are_refused(
    servers: dict[str, str], server: str, method: str, path: str
) -> None:
    """Whatever the page asks for; with a name of this machine it is answered as before."""
    async with aiohttp.ClientSession() as client:

        async def status(host: str) -> int:
            async with client.request(method, servers[server] + path, headers={"Host": host}) as answer:
                return answer.status

        assert {host: await status(host) for host in BAD} == dict.fromkeys(BAD, 403)
        for host in GOOD:
            assert await status(host) != 403
