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

LOCAL_HOSTS = "127.0.0.1 127.0.0.1:7071 localhost localhost:1 [::1] [::1]:7071 10.0.2.2:7071"
FOREIGN_HOSTS = """
    evil.example evil.example:7071 127.0.0.1.evil.example localhost.evil.example:7071 evil.example@127.0.0.1
    127.0.0.1: 127.0.0.1:evil [::1].evil.example 10.0.0.1
"""
LOCAL_ORIGINS = "http://127.0.0.1:7071 http://localhost:5173 http://[::1]:1"
FOREIGN_ORIGINS = """
    http://evil.example null http://127.0.0.1.evil.example http://localhost.evil.example:7071 https://localhost:7071
    http://127x0x0x1:80 http://10.0.2.2:7071 http://10.0.0.1
"""
PAGE = "https://app.example"
NAMES = {"broker": "broker", "simulator": "simulator", "callers": "issuer"}
"""The servers, by the first word of the line that prints their URL."""
_FACE = "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"
READ = {
    "broker": """
        /api/health /api/sessions/x /api/nothing /admin/host/status /console /console/config.json
        /console/events /console/status /docs / /nothing
    """,
    "issuer": "/.well-known/openid-configuration /keys /nothing",
    "simulator": f"/simulator/scenarios {_FACE}/x /nothing",
}
CHANGE = [
    *(("broker", method, "/api/sessions") for method in ("POST", "PUT", "OPTIONS")),
    ("broker", "DELETE", "/api/sessions/x"),
    ("broker", "POST", "/admin/functions/purge_expired"),
    ("broker", "POST", "/console/token"),
    ("issuer", "POST", "/token"),
    ("simulator", "POST", "/simulator/perform"),
    ("simulator", "POST", "/simulator/fault"),
    ("simulator", "DELETE", "/simulator/fault"),
    ("simulator", "POST", "/simulator/clock"),
    ("simulator", "POST", _FACE),
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


@pytest.mark.parametrize(
    ("server", "path"), [(server, path) for server, paths in READ.items() for path in paths.split()]
)
def test_other_names_than_this_machine_are_refused(
    servers: Mapping[str, str], server: str, path: str
) -> None:
    """Reads too: after DNS rebinding a browser lets the page see the answer."""
    url = servers[server] + path
    plain = status(url, "GET", {})

    expected = dict.fromkeys([*FOREIGN_HOSTS.split(), ""], 403) | dict.fromkeys(LOCAL_HOSTS.split(), plain)

    assert plain != 403
    assert {host: status(url, "GET", {"Host": host}) for host in expected} == expected


@pytest.mark.parametrize(("server", "method", "path"), CHANGE)
def test_pages_of_other_sites_change_nothing(
    servers: Mapping[str, str], server: str, method: str, path: str
) -> None:
    """A page may send simple requests to any address without being asked; pages of this machine are as before."""
    url = servers[server] + path

    refused = dict.fromkeys([*FOREIGN_ORIGINS.split(), ""], True) | dict.fromkeys(
        [*LOCAL_ORIGINS.split(), None], False
    )
    # The broker takes pages that are allowed to use it in Azure.
    refused |= {PAGE: server != "broker"}

    assert {origin: status(url, method, {"Origin": origin}) == 403 for origin in refused} == refused
    assert status(url, method, {"Host": "evil.example"}) == 403
