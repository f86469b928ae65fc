"""The listings, the counts of calls, and the fault switch."""

import httpx
import pytest

from local.simulator import SCENARIOS, FaceSimulator
from tests.local.simulator.client import (
    CUT_OFF,
    OLD,
    ROOTS,
    VERSIONS,
    FaceClient,
    code_of,
    refusal_of,
)
from tests.local.simulator.documented import ERRORS, REQUEST
from tests.support.time import FakeClock


async def _switch(face: FaceClient, body: object) -> httpx.Response:
    return await face.http.post("/simulator/fault", json=body)


async def _statuses(face: FaceClient, count: int) -> list[int]:
    return [(await face.get("none")).status_code for _ in range(count)]


async def test_scenarios_are_the_table(face: FaceClient) -> None:
    """The simulator lists exactly the scenarios that it has."""
    assert await face.listing("scenarios") == [
        {"deviceId": each.device_id, "call": each.call, "happens": each.happens} for each in SCENARIOS
    ]


async def test_sessions_are_listed_with_their_state(face: FaceClient, clock: FakeClock) -> None:
    """The listing shows how far each session is and whether it was deleted, and never its token."""
    created = [await face.create(device, authTokenTimeToLiveInSeconds=60) for device in ("a", "b")]
    await face.perform(created[0]["authToken"])
    await face.delete(created[0]["sessionId"])
    clock.advance_seconds(60)
    kept = {
        "sessionId": created[1]["sessionId"],
        "apiVersion": OLD,
        "deviceCorrelationId": "b",
        "status": "NotStarted",
        "attempts": 0,
        "canceled": False,
        "tokenExpired": True,
        "deleted": False,
    }
    deleted = {
        "sessionId": created[0]["sessionId"],
        "deviceCorrelationId": "a",
        "status": "ResultAvailable",
        "attempts": 1,
        "deleted": True,
    }
    assert await face.listing("sessions") == [kept, kept | deleted]


async def test_calls_are_counted_by_operation(face: FaceClient, simulator: FaceSimulator) -> None:
    """Each call of the broker counts, refused ones too; those of phones and tests do not."""
    zero = dict.fromkeys(("create", "get", "delete", "list", "audit"), 0)
    assert await face.calls() == zero
    created = await face.create()
    await face.perform(created["authToken"])
    for _ in range(3):
        await face.get(created["sessionId"])
    await face.call("GET", f"{ROOTS[OLD]}/{created['sessionId']}/audit")
    await face.call("GET", ROOTS[OLD], key="wrong")
    await face.delete(created["sessionId"])
    expected = {"create": 1, "get": 3, "delete": 1, "list": 1, "audit": 1}
    assert (await face.calls(), simulator.calls) == (expected, expected)


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
    """Only the latest fault counts, and so does its count."""
    await _switch(face, {"status": 500, "count": 5})
    await _switch(face, {"status": 503, "count": 1})
    assert await _statuses(face, 2) == [503, 404]
    await _switch(face, {"status": 500, "count": 1})
    await face.http.delete("/simulator/fault")
    await _switch(face, {"status": 503})
    assert await _statuses(face, 2) == [503, 503]


async def test_upstream_that_is_down_resets_connections(face: FaceClient, simulator: FaceSimulator) -> None:
    """A resource that is down answers nothing, and works again afterwards."""
    session_id = (await face.create())["sessionId"]
    await _switch(face, {"down": True, "count": 2})
    for _ in range(2):
        with pytest.raises(CUT_OFF):
            await face.get(session_id)
    assert (await face.get(session_id)).status_code == 200
    assert simulator.calls["get"] == 3


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, "401"), (404, "no-route"), (415, "415"), (500, "500"), (403, "quota"), (429, "429")],
)
async def test_fault_has_the_documented_shape(face: FaceClient, status: int, error: str) -> None:
    """A documented status comes in its documented shape."""
    await _switch(face, {"status": status})
    assert refusal_of(await face.get("none")) == ERRORS[error]


@pytest.mark.parametrize("status", [504, 599])
async def test_fault_that_is_not_documented_has_the_general_shape(face: FaceClient, status: int) -> None:
    """Any other status has itself as its code."""
    await _switch(face, {"status": status})
    assert code_of(await face.get("none")) == (status, str(status))


@pytest.mark.parametrize("version", VERSIONS)
async def test_fault_stops_a_create_before_it_takes_effect(
    face: FaceClient, simulator: FaceSimulator, version: str
) -> None:
    """A call that fails changes nothing, but is counted."""
    await _switch(face, {"status": 500, "count": 1})
    assert (await face.post(version, REQUEST)).status_code == 500
    assert (simulator.sessions, simulator.calls["create"]) == ((), 1)


async def test_fault_does_not_meet_phones(face: FaceClient) -> None:
    """The switch is for the broker's calls: a phone's check neither fails nor is counted."""
    token = (await face.create())["authToken"]
    await _switch(face, {"status": 503, "count": 1})
    assert (await face.phone("perform", token)).status_code == 200
    assert await _statuses(face, 2) == [503, 404]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{}",
        b"[]",
        b'{"status": 399}',
        b'{"status": 600}',
        b'{"status": "503"}',
        b'{"status": 503, "count": 0}',
        b'{"status": 503, "count": "2"}',
        b'{"status": 503, "count": true}',
        b'{"status": 503, "more": 1}',
        b'{"down": false}',
        b'{"down": true, "status": 503}',
    ],
    ids=bytes.decode,
)
async def test_fault_that_makes_no_sense_is_refused(face: FaceClient, content: bytes) -> None:
    """A mistake is reported, and changes nothing."""
    assert refusal_of(await face.http.post("/simulator/fault", content=content)) == ERRORS["400"]
    assert await _statuses(face, 1) == [404]


async def test_methods_in_process_do_the_same(face: FaceClient, simulator: FaceSimulator) -> None:
    """`fail`, `go_down` and `recover` are the switch for tests in the same process."""
    simulator.fail(503, count=1)
    assert await _statuses(face, 2) == [503, 404]
    simulator.go_down()
    with pytest.raises(CUT_OFF):
        await face.get("none")
    simulator.recover()
    assert await _statuses(face, 1) == [404]
