"""The fault switch, over HTTP and in process."""

import httpx
import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.simulator_client import CUT_OFF, VERSIONS, FaceClient, code_of


async def _switch(face: FaceClient, body: object) -> httpx.Response:
    return await face.http.post("/simulator/fault", json=body)


async def _statuses(face: FaceClient, count: int) -> list[int]:
    return [(await face.get("none")).status_code for _ in range(count)]


async def test_fault_ends_after_its_count(face: FaceClient) -> None:
    """The next so many calls fail, and no more."""
    assert (await _switch(face, {"status": 503, "count": 2})).status_code == 204
    assert await _statuses(face, 3) == [503, 503, 404]


async def test_fault_without_count_lasts_until_it_is_ended(face: FaceClient) -> None:
    """A fault is ended by a DELETE, which may be repeated."""
    await _switch(face, {"status": 500})
    assert await _statuses(face, 5) == [500] * 5
    for _ in range(2):
        assert (await face.http.delete("/simulator/fault")).status_code == 204
    assert await _statuses(face, 1) == [404]


async def test_fault_replaces_an_earlier_one(face: FaceClient) -> None:
    """Only the latest fault counts."""
    await _switch(face, {"status": 500, "count": 5})
    await _switch(face, {"status": 503, "count": 1})
    assert await _statuses(face, 2) == [503, 404]


async def test_upstream_that_is_down_resets_connections(face: FaceClient, simulator: FaceSimulator) -> None:
    """A resource that is down answers nothing, and is whole afterwards."""
    session_id = (await face.create())["sessionId"]
    await _switch(face, {"down": True, "count": 2})
    for _ in range(2):
        with pytest.raises(CUT_OFF):
            await face.get(session_id)
    assert (await face.get(session_id)).status_code == 200
    assert simulator.calls["get"] == 3


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "Unspecified"),
        (404, "404"),
        (415, "BadArgument"),
        (500, "Unspecified"),
        (504, "504"),
        (599, "599"),
    ],
)
async def test_fault_has_the_documented_shape(face: FaceClient, status: int, code: str) -> None:
    """A status comes in its documented shape, and others in the general one."""
    await _switch(face, {"status": status})
    assert code_of(await face.get("none")) == (status, code)


@pytest.mark.parametrize("status", [403, 429])
async def test_fault_without_code_has_its_status_in_the_body(face: FaceClient, status: int) -> None:
    """Quota and rate limit have no code, neither in the body nor in a header."""
    await _switch(face, {"status": status})
    response = await face.get("none")
    assert (response.status_code, response.json()["error"]["statusCode"]) == (status, status)
    assert "code" not in response.json()["error"]
    assert "x-ms-error-code" not in response.headers


@pytest.mark.parametrize("version", VERSIONS)
async def test_fault_stops_a_create_before_it_takes_effect(
    face: FaceClient, simulator: FaceSimulator, version: str
) -> None:
    """A call that fails changes nothing, but is counted."""
    await _switch(face, {"status": 500, "count": 1})
    body = {"livenessOperationMode": "Passive", "deviceCorrelationId": "device"}
    assert (await face.post(version, body)).status_code == 500
    assert (simulator.sessions, simulator.calls["create"]) == ((), 1)


async def test_fault_does_not_meet_phones(face: FaceClient) -> None:
    """The switch is for the broker's calls: a phone's check neither fails nor is counted."""
    token = (await face.create())["authToken"]
    await _switch(face, {"status": 503, "count": 1})
    assert (await face.phone("perform", token)).status_code == 200
    assert await _statuses(face, 2) == [503, 404]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"status": 200},
        {"status": 600},
        {"status": "503"},
        {"status": 503, "count": 0},
        {"status": 503, "count": "2"},
        {"status": 503, "more": 1},
        {"down": False},
        {"down": True, "status": 503},
    ],
    ids=str,
)
async def test_fault_that_makes_no_sense_is_refused(face: FaceClient, body: object) -> None:
    """A mistake is told, and changes nothing."""
    assert code_of(await _switch(face, body)) == (400, "InvalidRequestBody")
    assert await _statuses(face, 1) == [404]


async def test_fault_that_is_no_json_is_refused(face: FaceClient) -> None:
    """A body that cannot be read is refused like one that makes no sense."""
    assert code_of(await face.http.post("/simulator/fault", content=b"{")) == (400, "InvalidRequestBody")


async def test_methods_in_process_do_the_same(face: FaceClient, simulator: FaceSimulator) -> None:
    """`fail`, `go_down` and `recover` are the switch for tests that hold the simulator."""
    simulator.fail(503, count=1)
    assert await _statuses(face, 2) == [503, 404]
    simulator.go_down()
    with pytest.raises(CUT_OFF):
        await face.get("none")
    simulator.recover()
    assert await _statuses(face, 1) == [404]
