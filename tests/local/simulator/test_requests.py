"""What a create request may hold in each version, and which credentials open the API."""

from typing import Any

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.client import (
    KEY,
    NEW,
    NEWEST,
    OLD,
    ROOTS,
    VERSIONS,
    FaceClient,
    code_of,
    refusal_of,
)
from tests.local.simulator.documented import ERRORS, REQUEST

JSON = {"Content-Type": "application/json"}

every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
async def test_good_request_stores_a_session(
    face: FaceClient, simulator: FaceSimulator, version: str
) -> None:
    """A created session is stored with the fields of its request."""
    created = await face.create("device-7", version, authTokenTimeToLiveInSeconds=60)
    [session] = simulator.sessions
    assert (session.session_id, session.auth_token) == (created["sessionId"], created["authToken"])
    assert (session.device_id, session.order.lifetime_s) == ("device-7", 60)


@pytest.mark.parametrize(
    ("versions", "fields"),
    [
        ([OLD], {"sendResultsToClient": True}),
        ([NEW, NEWEST], {"enableSessionImage": True}),
        ([NEW, NEWEST], {"livenessModelVersion": "2025-05-20"}),
        ([NEW, NEWEST], {"livenessOperationMode": "PassiveActive"}),
        ([NEWEST], {"numberOfClientAttemptsAllowed": 3}),
        ([NEWEST], {"userCorrelationId": "u", "userCorrelationIdSetInClient": False}),
        ([NEWEST], {"expectedClientIpAddress": "203.0.113.0/24"}),
        (VERSIONS, {"authTokenTimeToLiveInSeconds": 86400}),
        (VERSIONS, {"deviceCorrelationId": "d" * 64}),
        (VERSIONS, {"deviceCorrelationId": None, "deviceCorrelationIdSetInClient": True}),
    ],
    ids=str,
)
async def test_field_is_taken_by_the_versions_that_document_it(
    face: FaceClient, versions: list[str], fields: dict[str, object]
) -> None:
    """Each version takes its own fields up to their limits, and refuses those of the others."""
    answers = {version: await face.post(version, REQUEST | fields) for version in VERSIONS}
    assert [version for version in VERSIONS if answers[version].status_code == 200] == list(versions)
    assert {code_of(answer)[0] for answer in answers.values() if answer.status_code != 200} <= {400}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"clientReference": "x"}, "400"),
        *(({"livenessOperationMode": mode}, "400") for mode in (1, None)),
        *(({"authTokenTimeToLiveInSeconds": seconds}, "400") for seconds in ("600", 600.0, True, None)),
        ({"deviceCorrelationId": 7}, "400"),
        ({"deviceCorrelationIdSetInClient": 1}, "400"),
        *(({"authTokenTimeToLiveInSeconds": seconds}, "lifetime") for seconds in (59, 86401, -600, 10**30)),
        *(({"livenessOperationMode": mode}, "mode") for mode in ("Active", "passive", "")),
        *(({"deviceCorrelationId": device}, "device") for device in (None, "", "d" * 65)),
        ({"deviceCorrelationIdSetInClient": True}, "device"),
        ({"deviceCorrelationId": "", "deviceCorrelationIdSetInClient": True}, "device"),
        ({"livenessOperationMode": "x", "deviceCorrelationId": "sim-create-500"}, "mode"),
    ],
    ids=str,
)
async def test_field_that_no_version_takes_is_refused(
    face: FaceClient, simulator: FaceSimulator, fields: dict[str, object], error: str
) -> None:
    """Unknown fields, wrong types and values out of range get the documented error of every version."""
    for version in VERSIONS:
        assert refusal_of(await face.post(version, REQUEST | fields)) == ERRORS[error]
    assert simulator.sessions == ()


async def test_number_of_attempts_out_of_range_is_refused(face: FaceClient) -> None:
    """A session of v1.3 allows one to three attempts."""
    for count in (0, 4):
        response = await face.post(NEWEST, REQUEST | {"numberOfClientAttemptsAllowed": count})
        assert refusal_of(response) == ERRORS["400"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        *((content, "400") for content in (b"", b"{body}", b"[]", b"\xff\xfe", b"[" * 200_000, b"{}")),
        (b'{"livenessOperationMode": "Passive"}', "device"),
    ],
    ids=["empty", "cut", "array", "not-utf-8", "deep", "no-mode", "no-device"],
)
async def test_body_that_is_no_request_is_refused(face: FaceClient, content: bytes, error: str) -> None:
    """A body that cannot be read as a create request gets the documented error."""
    response = await face.call("POST", ROOTS[OLD], content=content, headers=JSON)
    assert refusal_of(response) == ERRORS[error]


@pytest.mark.parametrize(
    ("media_type", "status"), [("Application/JSON; charset=utf-8", 200), ("text/plain", 415), (None, 415)]
)
async def test_media_type_is_json(face: FaceClient, media_type: str | None, status: int) -> None:
    """The media type is compared without case and parameters, and has to be there."""
    body = b'{"livenessOperationMode": "Passive", "deviceCorrelationId": "device"}'
    headers = {"Content-Type": media_type} if media_type else {}
    response = await face.call("POST", ROOTS[OLD], content=body, headers=headers)
    assert response.status_code == status
    assert status == 200 or refusal_of(response) == ERRORS["415"]


@every_version
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": f"Bearer {KEY}"}, *({"Ocp-Apim-Subscription-Key": key} for key in ("wrong", ""))],
    ids=str,
)
async def test_credential_that_is_not_valid_is_refused(
    face: FaceClient, simulator: FaceSimulator, version: str, headers: dict[str, Any]
) -> None:
    """A 401 comes before the body is read, with the code of its version."""
    response = await face.call("POST", ROOTS[version], key=None, headers=headers, content=b"{")
    assert code_of(response) == (401, "Unspecified" if version == OLD else "401")
    assert version != OLD or refusal_of(response) == ERRORS["401"]
    assert simulator.sessions == ()
