"""Every magic device id does what the table says, in every version where it can show."""

from typing import Any

import httpx
import pytest

from local.simulator import SCENARIOS, FaceSimulator
from local.simulator.scenarios import of_device
from tests.local.simulator.simulator_client import (
    CUT_OFF,
    NEW,
    OLD,
    SESSION_NOT_FOUND,
    VERSIONS,
    FaceClient,
    Sleeper,
)

REFUSALS: dict[str, tuple[int, dict[str, str], object]] = {
    "401": (
        401,
        {"x-ms-error-code": "Unspecified"},
        {
            "error": {
                "code": "Unspecified",
                "message": "Access denied due to invalid subscription key. Make sure you are subscribed to an API "
                "you are trying to call and provide the right key.",
            }
        },
    ),
    "403": (
        403,
        {"x-ms-error-code": "UnsupportedFeature"},
        {
            "error": {
                "code": "UnsupportedFeature",
                "message": "Feature is not supported, missing approval for one or more of the following features: "
                "Identification, Verification.",
            }
        },
    ),
    "quota": (
        403,
        {},
        {
            "error": {
                "statusCode": 403,
                "message": "Out of call volume quota. Quota will be replenished in 2 days.",
            }
        },
    ),
    "429": (
        429,
        {},
        {"error": {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 26 seconds."}},
    ),
    "429-header": (
        429,
        {"retry-after": "7"},
        {"error": {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 7 seconds."}},
    ),
    "429-gateway": (
        429,
        {"x-ms-error-code": "429"},
        {
            "error": {
                "code": "429",
                "message": "Requests to the Session DetectLiveness Operation under Face API have exceeded rate limit "
                "of your current Face F0 pricing tier. Please retry after 1 second.",
            }
        },
    ),
    "500": (
        500,
        {"x-ms-error-code": "Unspecified"},
        {"error": {"code": "Unspecified", "message": "Internal server error"}},
    ),
    "gone": (404, {"x-ms-error-code": "SessionNotFound"}, SESSION_NOT_FOUND),
    "no-route": (
        404,
        {"x-ms-error-code": "404"},
        {"error": {"code": "404", "message": "Resource not found"}},
    ),
}
"""Status, headers and body that the last part of a device id stands for."""

WATCHED_HEADERS = ("x-ms-error-code", "retry-after")

every_version = pytest.mark.parametrize("version", VERSIONS)


def _refused(response: httpx.Response) -> tuple[int, dict[str, str], object]:
    headers = {name: response.headers[name] for name in WATCHED_HEADERS if name in response.headers}
    return response.status_code, headers, response.json()


def _names(call: str) -> list[str]:
    """The last parts of the device ids that refuse a call in a shape of its own."""
    names = [each.device_id.split("-", 2)[2] for each in SCENARIOS if each.call == call]
    return [name for name in names if name in REFUSALS]


async def _decision(face: FaceClient, device_id: str, version: str, performs: int = 1) -> object:
    created = await face.create(device_id, version)
    for _ in range(performs):
        await face.perform(created["authToken"])
    result = await face.result(created["sessionId"], version)
    if version == OLD:
        return result["result"]["response"]["body"]["livenessDecision"]
    attempts: list[dict[str, Any]] = result["results"]["attempts"]
    return max(attempts, key=lambda attempt: int(attempt["attemptId"]))["result"]["livenessDecision"]


@every_version
@pytest.mark.parametrize(
    ("device_id", "decision"),
    [
        ("sim-realface", "realface"),
        ("sim-spoofface", "spoofface"),
        ("sim-uncertain", "uncertain"),
        ("sim-realface-case", "realFace"),
        ("sim-unknown-decision", "deepfake"),
        ("723d6d03-ef33-40a8-9682-23a1feb7bccd", "realface"),
        ("sim-", "realface"),
        ("SIM-SpoofFace", "spoofface"),
        ("sim-spoofface.42", "spoofface"),
        ("sim-spoofface-42", "realface"),
    ],
)
async def test_device_id_chooses_the_decision(
    face: FaceClient, version: str, device_id: str, decision: str
) -> None:
    """The decision is that of the table, whatever the case and the tail; unknown ids are real faces."""
    assert await _decision(face, device_id, version) == decision


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize(
    ("device_id", "decision"), [("sim-second-passes", "realface"), ("sim-second-spoofs", "spoofface")]
)
async def test_second_attempt_decides(face: FaceClient, version: str, device_id: str, decision: str) -> None:
    """Where two attempts differ, the result of the later one stands."""
    assert await _decision(face, device_id, version, performs=2) == decision


@pytest.mark.parametrize("version", [OLD, NEW])
async def test_mask_fails_every_attempt(face: FaceClient, simulator: FaceSimulator, version: str) -> None:
    """A mask is never decided upon."""
    created = await face.create("sim-mask", version)
    for _ in range(3):
        await face.perform(created["authToken"])
    [session] = simulator.sessions
    failures = [attempt.outcome.failure for attempt in session.attempts]
    assert [failure.code for failure in failures if failure] == ["FaceWithMaskDetected"] * 3


@every_version
async def test_digest_mismatch_tells_the_phone_another_digest(
    face: FaceClient, simulator: FaceSimulator, version: str
) -> None:
    """The decision is good, but what the phone was told does not match."""
    created = await face.create("sim-digest-mismatch", version)
    told = await face.perform(created["authToken"])
    [attempt] = simulator.sessions[0].attempts
    assert (attempt.outcome.decision, len(told["digest"])) == ("realface", 64)
    assert told["digest"] != attempt.digest


@pytest.mark.parametrize(
    ("device_id", "old_status", "new_status"),
    [
        ("sim-no-attempt", "NotStarted", "NotStarted"),
        ("sim-abandoned", "Started", "Running"),
        ("sim-canceled", "Started", "Canceled"),
    ],
)
async def test_scenario_without_attempt_leaves_no_result(
    face: FaceClient, device_id: str, old_status: str, new_status: str
) -> None:
    """The phone is told nothing, and the session has no result in any version."""
    created = await face.create(device_id)
    assert await face.perform(created["authToken"]) == {"resultId": None, "digest": None}
    old, new = await face.result(created["sessionId"]), await face.result(created["sessionId"], NEW)
    assert (old["status"], new["status"]) == (old_status, new_status)
    assert ("result" in old, new["results"]) == (False, {"attempts": []})


async def test_canceled_session_takes_no_attempt(face: FaceClient) -> None:
    """The token of a canceled session stops working."""
    token = (await face.create("sim-canceled"))["authToken"]
    await face.perform(token)
    assert (await face.phone("perform", token)).status_code == 401


@every_version
@pytest.mark.parametrize("name", _names("create"))
async def test_create_is_refused(face: FaceClient, simulator: FaceSimulator, version: str, name: str) -> None:
    """The refusal is the documented one, and nothing is stored."""
    body = {"livenessOperationMode": "Passive", "deviceCorrelationId": f"sim-create-{name}"}
    assert _refused(await face.post(version, body)) == REFUSALS[name]
    assert (simulator.sessions, simulator.calls["create"]) == ((), 1)


@every_version
@pytest.mark.parametrize("name", _names("get"))
async def test_result_is_refused(face: FaceClient, version: str, name: str) -> None:
    """The refusal is the documented one, however often it is asked for; all other calls work."""
    created = await face.create(f"sim-result-{name}", version)
    await face.perform(created["authToken"])
    for _ in range(3):
        assert _refused(await face.get(created["sessionId"], version)) == REFUSALS[name]
    assert (await face.delete(created["sessionId"], version)).is_success


@every_version
async def test_delete_is_refused_and_the_session_stays(
    face: FaceClient, simulator: FaceSimulator, version: str
) -> None:
    """A delete that fails leaves the session and its result."""
    created = await face.create("sim-delete-500", version)
    assert _refused(await face.delete(created["sessionId"], version)) == REFUSALS["500"]
    assert (await face.get(created["sessionId"], version)).status_code == 200
    assert not simulator.sessions[0].deleted


@pytest.mark.parametrize("call", ["create", "result"])
async def test_bad_gateway_is_html(face: FaceClient, call: str) -> None:
    """A 502 comes from something that does not speak JSON."""
    response = await _call(face, call, "502")
    assert (response.status_code, response.headers["content-type"]) == (502, "text/html")
    assert response.text.startswith("<html>")


@pytest.mark.parametrize("call", ["create", "result"])
async def test_unavailable_is_empty(face: FaceClient, call: str) -> None:
    """A 503 has no body."""
    response = await _call(face, call, "503")
    assert (response.status_code, response.content) == (503, b"")


@pytest.mark.parametrize("call", ["create", "result"])
async def test_slow_call_takes_effect_after_a_delay(face: FaceClient, sleeper: Sleeper, call: str) -> None:
    """A slow call is right in the end, after longer than any deadline."""
    response = await _call(face, call, "slow")
    assert (response.status_code, sleeper.seconds) == (200, [30.0])


async def test_lost_create_leaves_a_session(face: FaceClient, simulator: FaceSimulator) -> None:
    """The caller gets no answer, yet there is a session."""
    with pytest.raises(CUT_OFF):
        await _call(face, "create", "lost")
    assert [session.device_id for session in simulator.sessions] == ["sim-create-lost"]


async def test_flaky_result_comes_at_the_third_read(face: FaceClient) -> None:
    """Two reads fail, all that follow succeed."""
    created = await face.create("sim-result-flaky")
    statuses = [(await face.get(created["sessionId"])).status_code for _ in range(4)]
    assert statuses == [503, 503, 200, 200]


async def test_listing_is_the_table(face: FaceClient) -> None:
    """The simulator lists exactly the scenarios that it has."""
    expected = [
        {"deviceId": each.device_id, "call": each.call, "happens": each.happens} for each in SCENARIOS
    ]
    assert await face.listing("scenarios") == expected


def test_table_holds_each_device_id_once() -> None:
    """Device ids are unique, valid for a create request, and found whatever their case."""
    ids = [each.device_id for each in SCENARIOS]
    assert len(set(ids)) == len(ids)
    assert all(device_id == device_id.lower() and len(device_id) <= 40 for device_id in ids)
    assert [of_device(device_id.upper()) for device_id in ids] == list(SCENARIOS)


def test_every_refusal_of_the_table_is_tested() -> None:
    """A refusal that is added to the table needs its shape here, or a test of its own."""
    own = {"502", "503", "slow", "lost", "flaky"}
    names = {each.device_id.split("-", 2)[2] for each in SCENARIOS if each.fault}
    assert names - own == set(REFUSALS)


async def _call(face: FaceClient, call: str, name: str) -> httpx.Response:
    if call == "create":
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": f"sim-create-{name}"}
        return await face.post(OLD, body)
    created = await face.create(f"sim-result-{name}")
    return await face.get(created["sessionId"])
