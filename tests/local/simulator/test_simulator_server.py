"""The simulator as a server: its life, its headers, its keys, and paths that nobody should ask for."""

import ast
import asyncio
import sys
import uuid
from pathlib import Path

import httpx
import pytest

import local.simulator
from local.simulator import FaceSimulator
from tests.local.simulator.simulator_client import (
    CUT_OFF,
    KEY,
    NEW,
    OLD,
    ROOTS,
    VERSIONS,
    FaceClient,
    FixedClock,
    code_of,
)

PACKAGE = Path(local.simulator.__file__).parent


async def test_url_before_start_is_an_error() -> None:
    """A simulator that does not listen has no address."""
    with pytest.raises(RuntimeError, match="not started"):
        _ = FaceSimulator(key=KEY).url


async def test_stop_without_start_is_nothing() -> None:
    """Stopping what was never started is fine, and so is stopping twice."""
    simulator = FaceSimulator(key=KEY)
    await simulator.stop()
    await simulator.start()
    await simulator.stop()
    await simulator.stop()


async def test_restart_on_the_same_port_keeps_the_sessions(
    face: FaceClient, simulator: FaceSimulator
) -> None:
    """While it is stopped connections are refused; afterwards everything is as before."""
    url, created = simulator.url, await face.create()
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


async def test_stop_does_not_wait_for_a_slow_call(clock: FixedClock) -> None:
    """A call that is asleep is cut off when the simulator stops."""
    asleep, forever = asyncio.Event(), asyncio.Event()

    async def sleep(_seconds: float) -> None:
        asleep.set()
        await forever.wait()

    simulator = FaceSimulator(key=KEY, clock=clock, sleep=sleep)
    await simulator.start()
    face = FaceClient(simulator.url)
    call = asyncio.create_task(face.create("sim-create-slow"))
    await asleep.wait()
    await simulator.stop()
    with pytest.raises(CUT_OFF):
        await call
    await face.aclose()


async def test_caller_that_hangs_up_ends_a_slow_call(clock: FixedClock) -> None:
    """A caller whose deadline passes leaves nothing running."""
    asleep, ended = asyncio.Event(), asyncio.Event()

    async def sleep(_seconds: float) -> None:
        asleep.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    simulator = FaceSimulator(key=KEY, clock=clock, sleep=sleep)
    await simulator.start()
    face = FaceClient(simulator.url)
    call = asyncio.create_task(face.create("sim-create-slow"))
    await asleep.wait()
    call.cancel()
    await asyncio.wait([call])
    await ended.wait()
    assert call.cancelled()
    await face.aclose()
    await simulator.stop()


async def test_keys_can_be_rotated_while_it_runs(face: FaceClient, simulator: FaceSimulator) -> None:
    """A key stops working when it is taken away, and another works as soon as it is there."""
    simulator.keys.add("second-key")
    assert (await face.get("none")).status_code == 404
    simulator.keys = {"second-key"}
    assert (await face.get("none")).status_code == 401
    response = await face.call("GET", f"{ROOTS[OLD]}/none", key="second-key")
    assert response.status_code == 404


@pytest.mark.parametrize("key", [["first", "second"], {"first", "second"}, ("second", "first")])
async def test_several_keys_are_all_valid(key: list[str] | set[str] | tuple[str, ...]) -> None:
    """A Face resource has two keys at a time."""
    simulator = FaceSimulator(key=key)
    assert simulator.keys == {"first", "second"}


async def test_bearer_tokens_can_be_taken_away(face: FaceClient, simulator: FaceSimulator) -> None:
    """An Entra token stops working when it is no longer known."""
    headers = {"Authorization": "Bearer entra-token"}
    path = f"{ROOTS[NEW]}/none"
    assert (await face.call("GET", path, key=None, headers=headers)).status_code == 404
    simulator.bearer_tokens.clear()
    assert code_of(await face.call("GET", path, key=None, headers=headers)) == (401, "401")


async def test_every_answer_has_a_request_id_of_its_own(face: FaceClient) -> None:
    """Good and bad answers, of Face and of the simulator, can be told apart by id."""
    created = await face.create()
    answers = [
        await face.get(created["sessionId"]),
        await face.get("none"),
        await face.call("GET", "/nothing/here"),
        await face.call("GET", ROOTS[OLD], key="wrong"),
        await face.phone("perform", created["authToken"]),
        await face.phone("perform", "wrong"),
        await face.http.get("/simulator/calls"),
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
        *(("PATCH", f"{ROOTS[version]}/x") for version in VERSIONS),
        *(("POST", f"{ROOTS[version]}/x") for version in VERSIONS),
        *(("DELETE", ROOTS[version]) for version in VERSIONS),
        *(("GET", f"{ROOTS[version]}/") for version in VERSIONS),
        *(("GET", f"{ROOTS[version]}/x/other") for version in VERSIONS),
        *(("GET", f"{ROOTS[version]}/x/audit/") for version in VERSIONS),
    ],
)
async def test_unknown_path_is_not_found(face: FaceClient, method: str, path: str) -> None:
    """What is not in a version, or not with this method, is no resource, whoever asks."""
    response = await face.call(method, path, key="wrong")
    assert code_of(response) == (404, "404")
    assert response.json() == {"error": {"code": "404", "message": "Resource not found"}}
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


def test_simulator_stands_on_its_own() -> None:
    """It imports the standard library, aiohttp in one module, and itself: never the broker that it is to test."""
    imported = {path.name: _imports(path) for path in PACKAGE.glob("*.py")}
    foreign = {
        name: {each for each in modules if each.split(".")[0] not in sys.stdlib_module_names}
        for name, modules in imported.items()
    }
    others = {
        (name, each)
        for name, modules in foreign.items()
        for each in modules
        if not each.startswith("local.simulator")
    }
    assert others == {("server.py", "aiohttp")}


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
