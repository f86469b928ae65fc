"""What a session looks like in each version, from creation to its end."""

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.client import NEW, NEWEST, VERSIONS, FaceClient, refusal_of
from tests.local.simulator.documented import ERRORS
from tests.support.time import FakeClock

RECTANGLE = {"top": 669, "left": 203, "width": 646, "height": 724}
TARGETS = {"color": {"faceRectangle": RECTANGLE}}
MASK_MESSAGE = "Mask detected on face image."


async def test_new_session_of_v1_1_has_dates_and_no_result(face: FaceClient, clock: FakeClock) -> None:
    """The old version answers id and token to a create, and never shows the token again."""
    created = await face.create("device-7", authTokenTimeToLiveInSeconds=90)
    assert created.keys() == {"sessionId", "authToken"}
    shown = {
        "id": created["sessionId"],
        "createdDateTime": "2024-03-05T11:07:28.540Z",
        "sessionExpired": False,
        "deviceCorrelationId": "device-7",
        "authTokenTimeToLiveInSeconds": 90,
        "status": "NotStarted",
    }
    clock.advance_seconds(89.999)
    assert await face.result(created["sessionId"]) == shown
    clock.advance_seconds(0.001)
    assert await face.result(created["sessionId"]) == shown | {"sessionExpired": True}


async def test_session_without_attempt_is_started(face: FaceClient, clock: FakeClock) -> None:
    """The start shows with its time in v1.1, and as `Running` in v1.2."""
    created = await face.create("sim-abandoned")
    clock.advance_seconds(12.005)
    await face.perform(created["authToken"])
    old, new = await face.result(created["sessionId"]), await face.result(created["sessionId"], NEW)
    assert (old["status"], old["sessionStartDateTime"]) == ("Started", "2024-03-05T11:07:40.545Z")
    assert ("result" in old, new["status"], new["results"]) == (False, "Running", {"attempts": []})


async def test_result_of_v1_1_is_the_audit_entry(face: FaceClient, clock: FakeClock) -> None:
    """A decision shows in the entry of the phone's call, with all of its fields; so does a failure, with status 400."""
    created = await face.create("sim-second-passes")
    await face.perform(created["authToken"])
    failed = await face.result(created["sessionId"])
    error = {"code": "FaceWithMaskDetected", "message": MASK_MESSAGE}
    response = {"body": {"error": error}, "statusCode": 400, "latencyInMilliseconds": 1200}
    assert (failed["status"], failed["result"]["response"]) == ("ResultAvailable", response)
    clock.advance_seconds(30)
    headers = {"User-Agent": "phone/1", "client-request-id": "call-1"}
    performed = await face.phone(created["authToken"], headers=headers)
    result = await face.result(created["sessionId"])
    assert result["status"] == "ResultAvailable"
    assert result["result"] == {
        "id": 2,
        "sessionId": created["sessionId"],
        "requestId": performed.headers["apim-request-id"],
        "clientRequestId": "call-1",
        "receivedDateTime": "2024-03-05T11:07:58.540Z",
        "request": {
            "url": "/face/v1.1-preview.1/detectliveness/singlemodal",
            "method": "POST",
            "contentLength": 247110,
            "contentType": "multipart/form-data",
            "userAgent": "phone/1",
        },
        "response": {
            "body": {
                "livenessDecision": "realface",
                "target": {
                    "faceRectangle": RECTANGLE,
                    "fileName": "content",
                    "timeOffsetWithinFile": 0,
                    "imageType": "Color",
                },
                "modelVersionUsed": "2022-10-15-preview.04",
            },
            "statusCode": 200,
            "latencyInMilliseconds": 1200,
        },
        "digest": performed.json()["digest"],
    }


@pytest.mark.parametrize(
    ("version", "more"), [(NEW, {}), (NEWEST, {"isAbuseMonitoringEnabled": True})], ids=[NEW, NEWEST]
)
async def test_new_session_of_later_versions_is_whole(
    face: FaceClient, version: str, more: dict[str, object]
) -> None:
    """Later versions answer the whole session to create and read, the auth token included, without dates."""
    created = await face.create(version=version)
    ids = {"sessionId": created["sessionId"], "authToken": created["authToken"]}
    rest = {"status": "NotStarted", "modelVersion": "2024-11-15", "results": {"attempts": []}}
    assert created == ids | rest | more
    assert await face.result(created["sessionId"], version) == created
    other = await face.create(version=version, livenessModelVersion="2025-05-20")
    assert other["modelVersion"] == "2025-05-20"


@pytest.mark.parametrize("image", [True, False])
async def test_attempts_of_v1_2_are_newest_first(face: FaceClient, image: bool) -> None:
    """Attempts show as in the published example, in its order, with an image only if the create asked for it."""
    created, _ = await face.checked("sim-second-passes", NEW, enableSessionImage=image)
    assert (await face.result(created["sessionId"], NEW))["status"] == "Failed"
    shown = await face.perform(created["authToken"])
    result = await face.result(created["sessionId"], NEW)
    second, first = result["results"]["attempts"]
    assert (result["status"], bool(second["result"].pop("sessionImageId", None))) == ("Succeeded", image)
    decided = {"livenessDecision": "realface", "targets": TARGETS, "digest": shown["digest"]}
    assert second == {"attemptId": 2, "attemptStatus": "Succeeded", "result": decided}
    error = {"code": "FaceWithMaskDetected", "message": MASK_MESSAGE, "targets": TARGETS}
    assert first == {"attemptId": 1, "attemptStatus": "Failed", "error": error}


async def test_attempts_of_v1_3_tell_address_and_abuse(face: FaceClient) -> None:
    """The newest version adds where the phone called from, and the abuse check of an attempt that succeeded."""
    fields = {"numberOfClientAttemptsAllowed": 2, "expectedClientIpAddress": "127.0.0.1"}
    created, _ = await face.checked("sim-second-passes", NEWEST, **fields)
    await face.perform(created["authToken"])
    result = await face.result(created["sessionId"], NEWEST)
    second, first = result["results"]["attempts"]
    assert second["clientInformation"] == first["clientInformation"] == [{"ip": "127.0.0.1"}]
    assert second["abuseMonitoringResult"] == {"isAbuseDetected": False, "otherFlaggedSessions": []}
    assert "abuseMonitoringResult" not in first
    assert (result["isAbuseMonitoringEnabled"], result["expectedClientIpAddress"]) == (True, "127.0.0.1")


@pytest.mark.parametrize("version", VERSIONS)
async def test_session_is_gone_after_48_hours(
    face: FaceClient, simulator: FaceSimulator, clock: FakeClock, version: str
) -> None:
    """Face forgets a session 48 hours after it was created."""
    session_id = (await face.create(version=version))["sessionId"]
    clock.advance_seconds(48 * 3600 - 0.001)
    assert (await face.get(session_id, version)).status_code == 200
    clock.advance_seconds(0.001)
    assert refusal_of(await face.get(session_id, version)) == ERRORS["gone"]
    assert simulator.sessions == ()


async def test_session_of_one_version_shows_in_another(face: FaceClient) -> None:
    """The versions are views of one store."""
    created, shown = await face.checked("sim-spoofface")
    [attempt] = (await face.result(created["sessionId"], NEW))["results"]["attempts"]
    assert attempt["result"]["digest"] == shown["digest"]
    assert attempt["result"]["livenessDecision"] == "spoofface"
