"""The simulator as a server: start and stop, keys, request ids, web pages, and unknown paths."""

import ast
import asyncio
import uuid
from pathlib import Path

import httpx
import pytest

import local.simulator
from local.simulator import FaceSimulator
from tests.local.simulator.client import (
    CUT_OFF,
    KEY,
    NEW,
    OLD,
    ROOTS,
    VERSIONS,
    FaceClient,
    code_of,
    refusal_of,
)
from tests.local.simulator.documented import ERRORS, REQUEST, RESPONSE
from tests.support.time import FakeClock

LOCAL_ORIGINS = ["http://127.0.0.1:7071", "http://localhost:3000", "http://localhost", "http://127.0.0.1"]
FOREIGN_ORIGINS = [
    "https://example.com",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "http://127x0x0x1:80",
    "https://localhost:7071",
    "http://localhost:7071/",
    "http://localhost:",
    "null",
    "",
]


async def test_published_request_gets_a_response_of_the_published_shape(face: FaceClient) -> None:
    """The example request gets an id and a token, and nothing else."""
    response = await face.post(OLD, REQUEST)
    assert (response.status_code, response.json().keys()) == (200, RESPONSE.keys())
    assert response.json()["authToken"].startswith(RESPONSE["authToken"])


async def test_url_before_start_is_an_error() -> None:
    """A simulator that does not listen has no address."""
    with pytest.raises(RuntimeError, match="not started"):
        _ = FaceSimulator(key=KEY).url


async def test_restart_on_the_same_port_keeps_the_sessions(
    face: FaceClient, simulator: FaceSimulator
) -> None:
    """A stopped simulator refuses connections; started again it has everything it had."""
    url, created = simulator.url, await face.create()
    await simulator.stop()
    await simulator.stop()
    with pytest.raises(httpx.ConnectError):
        await face.get(created["sessionId"])
    await simulator.start(port=int(url.rpartition(":")[2]))
    assert simulator.url == url
    assert (await face.get(created["sessionId"])).status_code == 200


async def test_port_that_is_taken_is_an_error(simulator: FaceSimulator) -> None:
    """A second simulator on the same port fails to start, and can be stopped."""
    second = FaceSimulator(key=KEY)
    with pytest.raises(OSError, match="in use"):
        await second.start(port=int(simulator.url.rpartition(":")[2]))
    await second.stop()


@pytest.mark.parametrize("end", ["stop", "hang up"])
async def test_slow_call_ends_with_simulator_and_caller(clock: FakeClock, end: str) -> None:
    """A call that sleeps is cut off when the simulator stops, and ends when its caller hangs up."""
    asleep, ended = asyncio.Event(), asyncio.Event()

    async def sleep(_seconds: float) -> None:
        asleep.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    simulator = FaceSimulator(key=KEY, clock=clock, sleep=sleep)
    await simulator.start()
    async with FaceClient(simulator.url) as face:
        call = asyncio.create_task(face.create("sim-create-slow"))
        await asleep.wait()
        if end == "stop":
            await simulator.stop()
            with pytest.raises(CUT_OFF):
                await call
        else:
            call.cancel()
            await asyncio.wait([call])
            await ended.wait()
    await simulator.stop()
    assert ended.is_set()


async def test_keys_and_tokens_can_be_changed_while_it_runs(
    face: FaceClient, simulator: FaceSimulator
) -> None:
    """A key or token stops working when it is taken away; a new key works at once."""
    bearer = {"Authorization": "Bearer entra-token"}
    simulator.keys.add("second-key")
    assert (await face.get("none")).status_code == 404
    simulator.keys = {"second-key"}
    assert (await face.get("none")).status_code == 401
    assert (await face.call("GET", f"{ROOTS[OLD]}/none", key="second-key")).status_code == 404
    assert (await face.call("GET", f"{ROOTS[NEW]}/none", key=None, headers=bearer)).status_code == 404
    simulator.bearer_tokens.clear()
    assert (await face.call("GET", f"{ROOTS[NEW]}/none", key=None, headers=bearer)).status_code == 401


def test_several_keys_are_all_valid() -> None:
    """A Face resource has two keys at a time."""
    assert FaceSimulator(key=["first", "second"]).keys == {"first", "second"}


async def test_every_answer_has_a_request_id_of_its_own(face: FaceClient) -> None:
    """Good and bad answers, of Face and of the simulator's own routes, each have another id."""
    created = await face.create()
    answers = [
        await face.get(created["sessionId"]),
        await face.get("none"),
        await face.call("GET", "/nothing/here"),
        await face.call("GET", ROOTS[OLD], key="wrong"),
        await face.phone("perform", created["authToken"]),
        await face.phone("perform", "wrong"),
        await face.http.get("/simulator/calls"),
        await face.http.get("/simulator/calls", headers={"Origin": "https://example.com"}),
        await face.delete(created["sessionId"]),
    ]
    ids = [answer.headers["apim-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert [str(uuid.UUID(each)) for each in ids] == ids


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/face/v1.0/largepersongroups"),
        ("GET", "/face/v1.1-preview.1/detectLiveness/singleModal"),
        ("GET", "/face/v1.1-preview.1/detectLiveness-sessions/x"),
        ("GET", "/face/v1.2/detectLiveness/singleModal/sessions/x"),
        ("GET", "/face/v1.2/detectLiveness-sessionsx/y"),
        ("GET", "/face/v1x1-preview.1/detectLiveness/singleModal/sessions/x"),
        *(
            (method, ROOTS[version] + tail)
            for version in VERSIONS
            for method, tail in (
                ("PATCH", "/x"),
                ("POST", "/x"),
                ("DELETE", ""),
                ("GET", "/"),
                ("GET", "/x/other"),
                ("GET", "/x/audit/"),
            )
        ),
        ("GET", "/simulator/unknown"),
        ("PUT", "/simulator/fault"),
        ("GET", "/simulator/perform"),
        ("GET", "/simulator/"),
        ("OPTIONS", "/simulator/calls"),
    ],
)
async def test_unknown_path_is_not_found(face: FaceClient, method: str, path: str) -> None:
    """An unknown path, or another method, is a 404 for every caller, and is not counted."""
    response = await face.call(method, path, key="wrong")
    assert refusal_of(response) == ERRORS["no-route"]
    assert set((await face.calls()).values()) == {0}


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        ("../v1.0/largepersongroups", "404"),
        ("x/../../sessions", "404"),
        ("..", "SessionNotFound"),
        ("%2e%2e%2fx", "SessionNotFound"),
        ("x%2faudit", "SessionNotFound"),
    ],
)
async def test_path_that_climbs_is_not_followed(simulator: FaceSimulator, tail: str, code: str) -> None:
    """A path is taken as it was sent: neither dots nor escapes in it lead to another place."""
    host, _, port = simulator.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    target = f"{ROOTS[NEW]}/{tail}"
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Ocp-Apim-Subscription-Key: {KEY}\r\n\r\n".encode()
    )
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith("HTTP/1.1 404 ")
    assert f'"code": "{code}"' in answer


async def test_body_that_is_too_large_is_refused(face: FaceClient) -> None:
    """A body over a megabyte gets a 413 in Face's shape."""
    assert code_of(await face.post(OLD, {"fill": "x" * 2_000_000})) == (413, "413")


@pytest.mark.parametrize("origin", LOCAL_ORIGINS)
async def test_local_page_may_call(face: FaceClient, origin: str) -> None:
    """A page of this machine may send what the routes take, and read answers and refusals."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = await face.http.options("/simulator/perform", headers=headers)
    listing = await face.http.get("/simulator/scenarios", headers={"Origin": origin})
    refused = await face.http.post("/simulator/perform", headers={"Origin": origin})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    allowed = preflight.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type"} <= set(allowed)
    assert (listing.status_code, code_of(refused)) == (200, (401, "Unauthorized"))
    for response in (preflight, listing, refused):
        assert response.headers["access-control-allow-origin"] == origin
        assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
async def test_foreign_page_is_refused(face: FaceClient, method: str, origin: str) -> None:
    """A page from elsewhere can neither read nor do anything, not even without a preflight."""
    response = await face.http.request(
        method, "/simulator/fault", headers={"Origin": origin}, content=b'{"status": 503}'
    )
    assert code_of(response) == (403, "OriginRefused")
    assert "access-control-allow-origin" not in response.headers
    assert (await face.get("none")).status_code == 404


async def test_face_api_has_no_cross_origin_headers(face: FaceClient) -> None:
    """Only the simulator's own routes are for web pages."""
    response = await face.call("GET", f"{ROOTS[OLD]}/none", headers={"Origin": "http://localhost:7071"})
    assert (response.status_code, "access-control-allow-origin" in response.headers) == (404, False)


def test_simulator_does_not_use_the_broker() -> None:
    """The simulator shares nothing with the code that it tests but the type of a clock."""
    nodes = [
        node
        for path in Path(local.simulator.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
    ]
    own = {node.module for node in nodes if node.module and node.module.startswith(("shared", "local"))}
    assert {module for module in own if not module.startswith("local.simulator")} == {"shared.clock"}
