"""The simulator as a server: start and stop, keys, paths, web pages, and the fault switch."""

import asyncio
import contextlib
import re
import uuid
from pathlib import Path

import httpx
import pytest

import local.simulator
from local.simulator import SCENARIOS, FaceSimulator
from tests.local.simulator.client import CUT_OFF, KEY, NEW, OLD, ROOTS, FaceClient, code_of, refusal_of
from tests.local.simulator.conftest import Sleeps
from tests.local.simulator.documented import ERRORS, REQUEST
from tests.support.time import FakeClock


async def _switch(face: FaceClient, body: object) -> None:
    assert (await face.post("/simulator/fault", json=body)).status_code == 204


async def _statuses(face: FaceClient, count: int) -> list[int]:
    return [(await face.read("none")).status_code for _ in range(count)]


async def test_restart_on_the_same_port_keeps_the_sessions(
    face: FaceClient, simulator: FaceSimulator
) -> None:
    """A stopped simulator refuses connections; started again it has everything it had."""
    url, created = simulator.url, await face.create()
    port = int(url.rpartition(":")[2])
    second = FaceSimulator(key=KEY)
    with pytest.raises(OSError, match="in use"):
        await second.start(port=port)
    await second.stop()
    await simulator.stop()
    with pytest.raises(RuntimeError, match="not started"):
        _ = simulator.url
    with pytest.raises(httpx.ConnectError):
        await face.read(created["sessionId"])
    await simulator.start(port=port)
    assert simulator.url == url
    assert (await face.read(created["sessionId"])).status_code == 200


@pytest.mark.parametrize("end", ["the simulator stops", "the caller hangs up"])
async def test_call_that_sleeps_is_cut_off(
    face: FaceClient, simulator: FaceSimulator, sleeps: Sleeps, end: str
) -> None:
    """A slow call ends with its simulator, and with its caller."""
    sleeps.forever = True
    call = asyncio.create_task(face.create("sim-create-slow"))
    await sleeps.begun.wait()
    assert not sleeps.ended.is_set()
    if end == "the simulator stops":
        await simulator.stop()
        with pytest.raises(CUT_OFF):
            await call
    else:
        call.cancel()
    await sleeps.ended.wait()


async def test_keys_can_be_changed_while_it_runs(face: FaceClient, simulator: FaceSimulator) -> None:
    """A key stops working when it is taken away; a new key works at once."""
    simulator.keys.add("second-key")
    assert await _statuses(face, 1) == [404]
    simulator.keys = {"second-key"}
    assert await _statuses(face, 1) == [401]
    second = {"Ocp-Apim-Subscription-Key": "second-key"}
    assert (await face.call("GET", f"{ROOTS[OLD]}/none", headers=second)).status_code == 404


async def test_every_answer_has_a_request_id_of_its_own(face: FaceClient) -> None:
    """Good and bad answers, of Face and of the simulator's own routes, each have another id."""
    answers = [
        await face.order(OLD, REQUEST),
        await face.read("none"),
        await face.call("GET", "/nothing/here"),
        await face.phone("wrong"),
        await face.get("/simulator/scenarios", headers={"Origin": "https://example.com"}),
    ]
    ids = [answer.headers["apim-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert [str(uuid.UUID(each)) for each in ids] == ids


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/face/v1.1-preview.1/detectLiveness-sessions/x"),
        ("GET", "/face/v1.2/detectLiveness/singleModal/sessions/x"),
        ("GET", "/face/v1x1-preview.1/detectLiveness/singleModal/sessions/x"),
        *(("PATCH", root + "/x") for root in ROOTS.values()),
        *(("GET", root + tail) for root in ROOTS.values() for tail in ("/", "/x/other")),
        ("POST", ROOTS[OLD] + "/x"),
        ("DELETE", ROOTS[NEW]),
        ("PUT", "/simulator/fault"),
        ("GET", "/simulator/perform"),
    ],
)
async def test_unknown_path_is_not_found(
    face: FaceClient, simulator: FaceSimulator, method: str, path: str
) -> None:
    """An unknown path, or another method, is a 404 for every caller, and is not counted."""
    assert refusal_of(await face.call(method, path, headers={})) == ERRORS["no-route"]
    assert set(simulator.calls.values()) == {0}


async def test_body_that_is_too_large_is_refused(face: FaceClient) -> None:
    """A body over a megabyte gets a 413 in Face's shape."""
    assert code_of(await face.order(OLD, {"fill": "x" * 2_000_000})) == (413, "413")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:7071", "http://localhost"])
async def test_local_page_may_call(face: FaceClient, origin: str) -> None:
    """A page of this machine may send what the simulator's own routes take, and read answers and refusals."""
    headers = {"Origin": origin}
    preflight = await face.options(
        "/simulator/perform", headers=headers | {"Access-Control-Request-Method": "POST"}
    )
    listing = await face.get("/simulator/scenarios", headers=headers)
    refused = await face.post("/simulator/perform", headers=headers)
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert "authorization, content-type" in preflight.headers["access-control-allow-headers"]
    assert (listing.status_code, code_of(refused)) == (200, (401, "Unauthorized"))
    for response in (preflight, listing, refused):
        assert response.headers["access-control-allow-origin"] == origin
        assert response.headers["vary"] == "Origin"
    of_face = await face.call("GET", f"{ROOTS[OLD]}/none", more=headers)
    assert (of_face.status_code, "access-control-allow-origin" in of_face.headers) == (404, False)


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
async def test_foreign_page_is_refused(face: FaceClient, method: str) -> None:
    """A page from elsewhere can neither read nor do anything; `test_loopback` has the other origins."""
    headers = {"Origin": "http://localhost.example.com"}
    response = await face.request(method, "/simulator/fault", headers=headers, content=b'{"status": 503}')
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers
    assert await _statuses(face, 1) == [404]


def test_simulator_does_not_use_the_broker() -> None:
    """The simulator shares nothing with the code that it tests but the clock."""
    sources = Path(local.simulator.__file__).parent.glob("*.py")
    text = "\n".join(path.read_text() for path in sources)
    found = re.findall(r"^from shared\.(\S*) import (.*)", text, re.M)
    imports = {f"{module}.{name}" for module, names in found for name in names.split(", ")}
    assert imports == {"text.Clock", "text.Sleep", "text.system_clock"}


async def test_scenarios_are_the_table(face: FaceClient) -> None:
    """The simulator lists exactly the scenarios that it has."""
    listed = (await face.get("/simulator/scenarios")).json()
    assert listed == [
        {
            "deviceId": each.device_id,
            "call": each.call,
            "happens": each.happens,
            "appGets": each.app_gets,
            "appGetsIn": each.app_gets_in,
        }
        for each in SCENARIOS
    ]


async def test_calls_are_counted_by_operation(face: FaceClient, simulator: FaceSimulator) -> None:
    """Each call of the broker counts, refused ones too; those of phones and tests do not."""
    created, _ = await face.checked()
    for path in ("", "/none", "/none", f"/{created['sessionId']}/audit"):
        await face.call("GET", ROOTS[OLD] + path, headers={})
    await face.remove(created["sessionId"])
    counted = {"create": 1, "get": 2, "delete": 1, "list": 1, "audit": 1, "image": 0, "settings": 0}
    assert simulator.calls == counted


async def test_clock_can_be_moved_on(face: FaceClient, clock: FakeClock) -> None:
    """Tokens and sessions end at once, and the clock goes on from there."""
    token = (await face.create())["authToken"]
    moved = await face.post("/simulator/clock", json={"seconds": 600})
    assert moved.json() == {"now": "2024-03-05T11:17:28.540Z", "movedSeconds": 600}
    assert (await face.phone(token)).status_code == 401
    clock.advance_seconds(1)
    assert (await face.get("/simulator/clock")).json()["now"] == "2024-03-05T11:17:29.540Z"


@pytest.mark.parametrize("seconds", [0, -600, 1.5, "600", True, None, 10**9])
async def test_clock_goes_forward_by_whole_seconds_only(face: FaceClient, seconds: object) -> None:
    """Anything else is an error and moves nothing."""
    refused = await face.post("/simulator/clock", json={"seconds": seconds})
    assert code_of(refused) == (400, "InvalidRequestBody")
    assert (await face.get("/simulator/clock")).json()["movedSeconds"] == 0


async def test_only_calls_that_the_whole_resource_throttles_are_counted(
    face: FaceClient, simulator: FaceSimulator
) -> None:
    """A 429 of a magic id concerns one session; so it is not counted."""
    await face.order(OLD, REQUEST | {"deviceCorrelationId": "sim-create-429"})
    assert simulator.throttled == 0
    simulator.fail(429, count=2)
    assert await _statuses(face, 3) == [429, 429, 404]
    assert simulator.throttled == 2


async def test_fault_lasts_for_its_count_or_until_it_is_ended(face: FaceClient) -> None:
    """The latest fault counts; a DELETE ends it, and may be repeated."""
    await _switch(face, {"status": 503, "count": 2})
    assert await _statuses(face, 3) == [503, 503, 404]
    await _switch(face, {"status": 500, "count": 5})
    await _switch(face, {"status": 503})
    assert await _statuses(face, 6) == [503] * 6
    for _ in range(2):
        assert (await face.delete("/simulator/fault")).status_code == 204
    assert await _statuses(face, 1) == [404]


async def test_fault_of_one_operation_leaves_the_others(face: FaceClient) -> None:
    """A fault that names a call waits for it: the calls before it take effect, and do not use it up."""
    for fault in ({"status": 500}, {"down": True}):
        await _switch(face, fault | {"count": 1, "call": "create"})
        assert await _statuses(face, 2) == [404, 404]
        with contextlib.suppress(*CUT_OFF):
            assert (await face.order(NEW, REQUEST)).status_code == 500
        assert (await face.order(NEW, REQUEST)).status_code == 200


async def test_upstream_that_is_down_resets_connections(face: FaceClient, simulator: FaceSimulator) -> None:
    """A resource that is down answers nothing, for a count of calls or until it recovers."""
    await _switch(face, {"down": True, "count": 1})
    with pytest.raises(CUT_OFF):
        await face.read("none")
    assert await _statuses(face, 1) == [404]
    simulator.go_down()
    for _ in range(2):
        with pytest.raises(CUT_OFF):
            await face.read("none")
    simulator.recover()
    assert await _statuses(face, 1) == [404]
    assert simulator.calls["get"] == 5


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((401, "401"), (404, "no-route"), (415, "415"), (500, "500"), (403, "quota"), (429, "429")),
        (504, (504, "504", {"error": {"code": "504", "message": "The status is 504."}})),
    ],
)
async def test_fault_has_the_documented_shape(face: FaceClient, status: int, error: object) -> None:
    """A documented status comes in its documented shape, any other with itself as the code."""
    await _switch(face, {"status": status})
    assert refusal_of(await face.read("none")) == (ERRORS[error] if isinstance(error, str) else error)


async def test_fault_meets_calls_of_the_broker_only(face: FaceClient, simulator: FaceSimulator) -> None:
    """A call that fails changes nothing, but is counted; a phone's check neither fails nor ends the fault."""
    token = (await face.create())["authToken"]
    await _switch(face, {"status": 500, "count": 1})
    assert (await face.phone(token)).status_code == 200
    assert (await face.order(NEW, REQUEST)).status_code == 500
    assert (len(simulator.sessions), simulator.calls["create"]) == (1, 2)


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", "{}", '{"status": 399}', '{"status": 600}', '{"status": "503"}', '{"down": false}'),
        *(f'{{"status": 503, "count": {count}}}' for count in ("0", '"2"', "true", "null")),
        *(f'{{"status": 503, "call": {call}}}' for call in ('"perform"', '""', "[]", "null")),
        *('{"status": 503, "more": 1}', '{"down": true, "more": 1}', '{"down": true, "status": 503}'),
    ],
)
async def test_fault_that_makes_no_sense_is_refused(face: FaceClient, content: str) -> None:
    """A mistake is reported, and changes nothing."""
    assert refusal_of(await face.post("/simulator/fault", content=content)) == ERRORS["400"]
    assert await _statuses(face, 1) == [404]
