"""What a create request may hold in each version, and what a session looks like from creation to its end."""

import json
import uuid

import pytest

from local.simulator import FaceSimulator
from local.simulator.answers import Refused
from local.simulator.versions import VERSIONS as WIRE_VERSIONS
from local.simulator.versions import read_create
from tests.local.simulator.client import NEW, NEWEST, OLD, VERSIONS, FaceClient, refusal_of
from tests.local.simulator.documented import ERRORS, REQUEST, RESPONSE
from tests.support.time import FakeClock

RECTANGLE = {"top": 669, "left": 203, "width": 646, "height": 724}
TARGETS = {"color": {"faceRectangle": RECTANGLE}}
MASK_ERROR = {"code": "FaceWithMaskDetected", "message": "Mask detected on face image."}


@pytest.mark.parametrize(
    ("versions", "fields"),
    [
        ([OLD], {"sendResultsToClient": True}),
        ([NEW, NEWEST], {"enableSessionImage": True}),
        ([NEW, NEWEST], {"livenessModelVersion": "2025-05-20"}),
        ([NEW, NEWEST], {"livenessOperationMode": "PassiveActive"}),
        ([NEWEST], {"numberOfClientAttemptsAllowed": 3}),
        ([NEW, NEWEST], {"userCorrelationId": "u" * 64}),
        ([NEWEST], {"userCorrelationId": "u", "userCorrelationIdSetInClient": False}),
        ([NEWEST], {"userCorrelationId": None, "userCorrelationIdSetInClient": True}),
        *(
            ([NEWEST], {"expectedClientIpAddress": text})
            for text in ("203.0.113.0/24", "1.2.3.4", "2001:db8::1")
        ),
        # The published example of v1.1-preview.1 has both. The page of the operation wants the id to be null.
        (
            [OLD],
            {"deviceCorrelationId": "your_device_correlation_id", "deviceCorrelationIdSetInClient": True},
        ),
        (VERSIONS, {"authTokenTimeToLiveInSeconds": 60}),
        (VERSIONS, {"authTokenTimeToLiveInSeconds": 86400}),
        (VERSIONS, {"deviceCorrelationId": "d" * 64}),
        (VERSIONS, {"deviceCorrelationId": None, "deviceCorrelationIdSetInClient": True}),
    ],
    ids=str,
)
def test_field_is_taken_by_the_versions_that_document_it(
    versions: list[str], fields: dict[str, object]
) -> None:
    """Each version takes its own fields up to their limits, and refuses those of the others."""
    body = json.dumps(REQUEST | fields).encode()
    for name, version in zip(VERSIONS, WIRE_VERSIONS, strict=True):
        if name in versions:
            order = read_create(version, body)
            assert {field: order.get(field) for field in fields} == fields
        else:
            with pytest.raises(Refused, match="400"):
                read_create(version, body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        *((body, "400") for body in (b"", b"{body}", b"[]", b"\xff\xfe", b"[" * 200_000, b"{}")),
        (b'{"livenessOperationMode": "Passive"}', "device"),
        ({"clientReference": "x"}, "400"),
        *(({"livenessOperationMode": mode}, "400") for mode in (1, None)),
        *(({"authTokenTimeToLiveInSeconds": seconds}, "400") for seconds in ("600", 600.0, True, None)),
        *(({"numberOfClientAttemptsAllowed": count}, "400") for count in (0, 4)),
        ({"deviceCorrelationId": 7}, "400"),
        ({"deviceCorrelationIdSetInClient": 1}, "400"),
        *(({"authTokenTimeToLiveInSeconds": seconds}, "lifetime") for seconds in (59, 86401, -600, 10**30)),
        *(({"livenessOperationMode": mode}, "mode") for mode in ("Active", "passive", "")),
        *(({"deviceCorrelationId": device}, "device") for device in (None, "", "d" * 65)),
        *(({"userCorrelationId": user}, "400") for user in ("", "u" * 65, 7)),
        ({"userCorrelationId": "u", "userCorrelationIdSetInClient": True}, "400"),
        *(
            ({"expectedClientIpAddress": text}, "400")
            for text in ("1.2.3.4/99", "phone.example", "", "1.2.3")
        ),
        ({"deviceCorrelationId": "", "deviceCorrelationIdSetInClient": True}, "device"),
        ({"livenessOperationMode": "x", "deviceCorrelationId": "sim-create-500"}, "mode"),
    ],
    ids=lambda body: str(body)[:60],
)
def test_body_that_no_version_takes_is_refused(body: bytes | dict[str, object], error: str) -> None:
    """What cannot be read, unknown fields, wrong types and values out of range get the documented error."""
    content = body if isinstance(body, bytes) else json.dumps(REQUEST | body).encode()
    for version in WIRE_VERSIONS:
        with pytest.raises(Refused) as refused:
            read_create(version, content)
        answer = refused.value.answer
        assert (answer.status, answer.headers["x-ms-error-code"], json.loads(answer.body)) == ERRORS[error]


async def test_new_session_of_v1_1_has_dates_and_no_result(face: FaceClient, clock: FakeClock) -> None:
    """The old version answers id and token to a create, and never shows the token again."""
    created = await face.create("device-7", authTokenTimeToLiveInSeconds=90)
    assert created.keys() == RESPONSE.keys()
    assert str(uuid.UUID(created["sessionId"])) == created["sessionId"]
    token = created["authToken"]
    assert token.startswith(RESPONSE["authToken"])
    assert (token.count("."), len(token) > 200) == (2, True)
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


async def test_result_of_v1_1_is_the_audit_entry(face: FaceClient, clock: FakeClock) -> None:
    """A decision shows in the entry of the phone's call, with all of its fields; so does a failure, with status 400."""
    created = await face.create("sim-second-passes")
    clock.advance_seconds(12.005)
    await face.perform(created["authToken"])
    failed = await face.result(created["sessionId"])
    response = {"body": {"error": MASK_ERROR}, "statusCode": 400, "latencyInMilliseconds": 1200}
    assert (failed["status"], failed["result"]["response"]) == ("ResultAvailable", response)
    clock.advance_seconds(30)
    headers = {"User-Agent": "phone/1", "client-request-id": "call-1"}
    performed = await face.phone(created["authToken"], more=headers)
    result = await face.result(created["sessionId"])
    assert result["sessionStartDateTime"] == "2024-03-05T11:07:40.545Z"
    assert result["result"] == {
        "id": 2,
        "sessionId": created["sessionId"],
        "requestId": performed.headers["apim-request-id"],
        "clientRequestId": "call-1",
        "receivedDateTime": "2024-03-05T11:08:10.545Z",
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


@pytest.mark.parametrize(("version", "more"), [(NEW, {}), (NEWEST, {"isAbuseMonitoringEnabled": True})])
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
    image_id = second["result"].pop("sessionImageId", None)
    # The id of the published example has as many characters.
    assert (result["status"], image_id and len(image_id)) == ("Succeeded", 44 if image else None)
    decided = {"livenessDecision": "realface", "targets": TARGETS, "digest": shown["digest"]}
    assert second == {"attemptId": 2, "attemptStatus": "Succeeded", "result": decided}
    error = MASK_ERROR | {"targets": TARGETS}
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


async def test_magic_id_has_as_many_attempts_as_outcomes(face: FaceClient) -> None:
    """The default of v1.3-preview.1 is one attempt; a scenario of two can be shown all the same."""
    created, _ = await face.checked("sim-second-passes", NEWEST)
    await face.perform(created["authToken"])
    result = await face.result(created["sessionId"], NEWEST)
    assert [attempt["attemptId"] for attempt in result["results"]["attempts"]] == [2, 1]
    assert result["results"]["attempts"][0]["result"]["livenessDecision"] == "realface"
    created, _ = await face.checked("sim-second-passes", NEWEST, numberOfClientAttemptsAllowed=1)
    assert (await face.phone(created["authToken"])).status_code == 403


async def test_session_is_gone_after_48_hours(
    face: FaceClient, simulator: FaceSimulator, clock: FakeClock
) -> None:
    """Face forgets a session 48 hours after it was created."""
    session_id = (await face.create())["sessionId"]
    clock.advance_seconds(48 * 3600 - 0.001)
    assert (await face.read(session_id)).status_code == 200
    clock.advance_seconds(0.001)
    assert refusal_of(await face.read(session_id)) == ERRORS["gone"]
    assert simulator.sessions == ()
