"""What a session looks like in each version, from creation to its end."""

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.client import NEW, NEWEST, OLD, VERSIONS, FaceClient, refusal_of
from tests.local.simulator.documented import ERRORS
from tests.support.time import FakeClock

RECTANGLE = {"top": 669, "left": 203, "width": 646, "height": 724}
TARGETS = {"color": {"faceRectangle": RECTANGLE}}
MASK_MESSAGE = "Mask detected on face image."

every_version = pytest.mark.parametrize("version", VERSIONS)


async def test_new_session_of_v1_1_has_dates_and_no_result(face: FaceClient) -> None:
    """The old version answers id and token to a create, and never shows the token again."""
    created = await face.create("device-7", authTokenTimeToLiveInSeconds=90)
    assert created.keys() == {"sessionId", "authToken"}
    assert await face.result(created["sessionId"]) == {
        "id": created["sessionId"],
        "createdDateTime": "2024-03-05T11:07:28.540Z",
        "sessionExpired": False,
        "deviceCorrelationId": "device-7",
        "authTokenTimeToLiveInSeconds": 90,
        "status": "NotStarted",
    }


async def test_started_session_of_v1_1_has_a_start_date(face: FaceClient, clock: FakeClock) -> None:
    """The start of the session shows with its time."""
    created = await face.create()
    clock.advance_seconds(12.005)
    await face.start(created["authToken"])
    result = await face.result(created["sessionId"])
    assert (result["status"], result["sessionStartDateTime"]) == ("Started", "2024-03-05T11:07:40.545Z")
    assert "result" not in result


async def test_result_of_v1_1_is_the_audit_entry(face: FaceClient, clock: FakeClock) -> None:
    """A decision shows in the entry of the phone's call, with all of its fields."""
    created = await face.create()
    clock.advance_seconds(30)
    response = await face.phone(
        "perform", created["authToken"], headers={"User-Agent": "phone/1", "client-request-id": "call-1"}
    )
    result = await face.result(created["sessionId"])
    assert result["status"] == "ResultAvailable"
    assert result["result"] == {
        "id": 1,
        "sessionId": created["sessionId"],
        "requestId": response.headers["apim-request-id"],
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
        "digest": response.json()["digest"],
    }


async def test_failed_attempt_of_v1_1_is_a_result_without_decision(face: FaceClient) -> None:
    """`ResultAvailable` does not mean that there is a decision."""
    created = await face.create("sim-mask")
    await face.perform(created["authToken"])
    result = await face.result(created["sessionId"])
    assert result["status"] == "ResultAvailable"
    assert result["result"]["response"]["statusCode"] == 400
    error = {"code": "FaceWithMaskDetected", "message": MASK_MESSAGE}
    assert result["result"]["response"]["body"] == {"error": error}


async def test_token_of_v1_1_shows_as_expired_after_its_lifetime(face: FaceClient, clock: FakeClock) -> None:
    """`sessionExpired` becomes true with the lifetime of the token, not before."""
    session_id = (await face.create(authTokenTimeToLiveInSeconds=60))["sessionId"]
    clock.advance_seconds(59.999)
    assert (await face.result(session_id))["sessionExpired"] is False
    clock.advance_seconds(0.001)
    assert (await face.result(session_id))["sessionExpired"] is True


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


async def test_started_session_of_v1_2_is_running(face: FaceClient) -> None:
    """A session without an attempt that has ended is running."""
    created = await face.create(version=NEW)
    await face.start(created["authToken"])
    result = await face.result(created["sessionId"], NEW)
    assert (result["status"], result["results"]) == ("Running", {"attempts": []})


async def test_attempts_of_v1_2_are_newest_first(face: FaceClient) -> None:
    """A failed attempt and one with a decision show as in the published example, in its order."""
    created = await face.create("sim-second-passes", NEW, enableSessionImage=True)
    await face.perform(created["authToken"])
    assert (await face.result(created["sessionId"], NEW))["status"] == "Failed"
    shown = await face.perform(created["authToken"])
    result = await face.result(created["sessionId"], NEW)
    image_id = result["results"]["attempts"][0]["result"].pop("sessionImageId")
    assert (result["status"], bool(image_id)) == ("Succeeded", True)
    second = {
        "attemptId": 2,
        "attemptStatus": "Succeeded",
        "result": {"livenessDecision": "realface", "targets": TARGETS, "digest": shown["digest"]},
    }
    first = {
        "attemptId": 1,
        "attemptStatus": "Failed",
        "error": {"code": "FaceWithMaskDetected", "message": MASK_MESSAGE, "targets": TARGETS},
    }
    assert result["results"]["attempts"] == [second, first]


async def test_attempt_of_v1_2_has_an_image_only_if_asked_for(face: FaceClient) -> None:
    """Without `enableSessionImage` there is no image to fetch."""
    created = await face.create(version=NEW)
    await face.perform(created["authToken"])
    [attempt] = (await face.result(created["sessionId"], NEW))["results"]["attempts"]
    assert attempt["result"].keys() == {"livenessDecision", "targets", "digest"}


async def test_model_of_v1_2_is_the_one_asked_for(face: FaceClient) -> None:
    """The session shows the model that it was created with."""
    created = await face.create(version=NEW, livenessModelVersion="2025-05-20")
    assert (await face.result(created["sessionId"], NEW))["modelVersion"] == "2025-05-20"


async def test_attempts_of_v1_3_tell_address_and_abuse(face: FaceClient) -> None:
    """The newest version adds where the phone called from, and the abuse check of an attempt that succeeded."""
    created = await face.create(
        "sim-second-passes", NEWEST, numberOfClientAttemptsAllowed=2, expectedClientIpAddress="127.0.0.1"
    )
    await face.perform(created["authToken"])
    await face.perform(created["authToken"])
    result = await face.result(created["sessionId"], NEWEST)
    second, first = result["results"]["attempts"]
    address = [{"ip": "127.0.0.1"}]
    assert (second["clientInformation"], first["clientInformation"]) == (address, address)
    assert second["abuseMonitoringResult"] == {"isAbuseDetected": False, "otherFlaggedSessions": []}
    assert "abuseMonitoringResult" not in first
    assert (result["isAbuseMonitoringEnabled"], result["expectedClientIpAddress"]) == (True, "127.0.0.1")


@every_version
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


@every_version
@pytest.mark.parametrize("session_id", ["00000000-0000-0000-0000-000000000000", "x", "%2e%2e"])
async def test_session_that_never_was_is_not_found(face: FaceClient, version: str, session_id: str) -> None:
    """Whatever the id looks like, it is a session that is not there."""
    assert refusal_of(await face.get(session_id, version)) == ERRORS["gone"]


async def test_session_of_one_version_shows_in_another(face: FaceClient) -> None:
    """The versions are views of one store."""
    created = await face.create("sim-spoofface")
    await face.perform(created["authToken"])
    [attempt] = (await face.result(created["sessionId"], NEW))["results"]["attempts"]
    old = (await face.result(created["sessionId"], OLD))["result"]
    assert attempt["result"]["digest"] == old["digest"]
    assert attempt["result"]["livenessDecision"] == "spoofface"
