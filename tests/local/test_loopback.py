"""Pages of other sites get nothing from what listens here, whatever name they give this machine."""

import re
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.local.test_run import PATIENCE_SECONDS, printed, started

# On one worker, so that the servers start once.
pytestmark = pytest.mark.xdist_group("loopback")

LOCAL_HOSTS = (
    *("127.0.0.1", "127.0.0.1:7071", "localhost", "localhost:1", "[::1]", "[::1]:7071"),
    "10.0.2.2:7071",
)
FOREIGN_HOSTS = (
    *("evil.example", "evil.example:7071", "127.0.0.1.evil.example", "localhost.evil.example:7071"),
    *("evil.example@127.0.0.1", "127.0.0.1:", "127.0.0.1:evil", "[::1].evil.example", "10.0.0.1", ""),
)
LOCAL_ORIGINS = (None, "http://127.0.0.1:7071", "http://localhost:5173", "http://[::1]:1")
FOREIGN_ORIGINS = (
    *(
        "http://evil.example",
        "null",
        "",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example:7071",
    ),
    *("https://localhost:7071", "http://127x0x0x1:80", "http://10.0.2.2:7071", "http://10.0.0.1"),
)
PAGE = "https://app.example"
NAMES = {"broker": "broker", "simulator": "simulator", "callers": "issuer"}
"""The servers, by the first word of the line that prints their URL."""
_FACE = "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"
READ = [
    *(("broker", path) for path in ("/api/health", "/api/sessions/x", "/api/nothing", "/admin/host/status")),
    *(
        ("broker", path)
        for path in (
            "/console",
            "/console/config.json",
            "/console/events",
            "/console/status",
            "/docs",
            "/",
            "/nothing",
        )
    ),
    *(("issuer", path) for path in ("/.well-known/openid-configuration", "/keys", "/nothing")),
    *(("simulator", path) for path in ("/simulator/scenarios", f"{_FACE}/x", "/nothing")),
]
CHANGE = [
    *(("broker", method, "/api/sessions") for method in ("POST", "PUT", "OPTIONS")),
    *(
        ("broker", *route)
        for route in (
            ("DELETE", "/api/sessions/x"),
            ("POST", "/admin/functions/purge_expired"),
            ("POST", "/console/token"),
        )
    ),
    ("issuer", "POST", "/token"),
    *(("simulator", *route) for route in (("POST", "/simulator/perform"), ("POST", "/simulator/fault"))),
    *(("simulator", *route) for route in (("DELETE", "/simulator/fault"), ("POST", _FACE))),
    ("simulator", "POST", "/simulator/clock"),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The URLs of all that `make run AUTH=jwt` starts; broker, console and API page share one."""
    folder: Path = tmp_path_factory.mktemp("run")
    with started("run", "--auth", "jwt", cwd=folder, ALLOWED_ORIGINS=PAGE, FACE_MAX_TPS="100") as process:
        lines = printed(process)
        found = {name: re.findall(rf"^  {name} .*?(http://[\d.:]+)", lines, re.MULTILINE) for name in NAMES}
        yield {NAMES[name]: urls[0] for name, urls in found.items()}


def status(url: str, method: str, headers: Mapping[str, str | None]) -> int:
    """Send a request on a connection of its own, and answer its status."""
    sent = {name: value for name, value in headers.items() if value is not None}
    address = urlsplit(url)
    connection = HTTPConnection(address.netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, address.path, headers=sent)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(("server", "path"), READ)
def test_other_names_than_this_machine_are_refused(
    servers: Mapping[str, str], server: str, path: str
) -> None:
    """Reads too: after DNS rebinding a browser lets the page see the answer."""
    url = servers[server] + path
    plain = status(url, "GET", {})

    assert plain != 403
    assert {host: status(url, "GET", {"Host": host}) for host in FOREIGN_HOSTS} == dict.fromkeys(
        FOREIGN_HOSTS, 403
    )
    assert {host: status(url, "GET", {"Host": host}) for host in LOCAL_HOSTS} == dict.fromkeys(
        LOCAL_HOSTS, plain
    )


@pytest.mark.parametrize(("server", "method", "path"), CHANGE)
def test_pages_of_other_sites_change_nothing(
    servers: Mapping[str, str], server: str, method: str, path: str
) -> None:
    """A page may send simple requests to any address without being asked; pages of this machine are as before."""
    url = servers[server] + path

    def by_origin(*origins: str | None) -> dict[str | None, bool]:
        return {origin: status(url, method, {"Origin": origin}) == 403 for origin in origins}

    assert by_origin(*FOREIGN_ORIGINS) == dict.fromkeys(FOREIGN_ORIGINS, True)
    assert by_origin(*LOCAL_ORIGINS) == dict.fromkeys(LOCAL_ORIGINS, False)
    # The broker takes pages that are allowed to use it in Azure.
    assert by_origin(PAGE) == {PAGE: server != "broker"}
    assert status(url, method, {"Host": "evil.example"}) == 403
