"""What a create request may hold in each version, and how it is answered."""

import uuid
from typing import Any

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.simulator_client import (
    KEY,
    NEW,
    NEWEST,
    OLD,
    ROOTS,
    VERSIONS,
    FaceClient,
    code_of,
)

GOOD: dict[str, Any] = {"livenessOperationMode": "Passive", "deviceCorrelationId": "device"}

every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
async def test_good_request_stores_a_session(
    face: FaceClient, simulator: FaceSimulator, version: str
) -> None:
    """A created session is stored with what was asked for."""
    created = await face.create("device-7", version, authTokenTimeToLiveInSeconds=60)
    [session] = simulator.sessions
    assert (session.session_id, session.auth_token) == (created["sessionId"], created["authToken"])
    assert (session.device_id, session.order.lifetime_s, session.order.api_version) == (
        "device-7",
        60,
        version,
    )
    assert str(uuid.UUID(session.session_id)) == session.session_id


async def test_created_session_of_v1_1_is_id_and_token_only(face: FaceClient) -> None:
    """The old version answers nothing but the two."""
    assert (await face.create()).keys() == {"sessionId", "authToken"}


@pytest.mark.parametrize(
    ("version", "more"),
    [
        pytest.param(NEW, {}, id="v1.2"),
        pytest.param(NEWEST, {"isAbuseMonitoringEnabled": True}, id="v1.3-preview.1"),
    ],
)
async def test_created_session_of_later_versions_is_whole(
    face: FaceClient, version: str, more: dict[str, object]
) -> None:
    """Later versions answer the whole session."""
    created = await face.create(version=version)
    ids = {"sessionId": created["sessionId"], "authToken": created["authToken"]}
    rest = {"status": "NotStarted", "modelVersion": "2024-11-15", "results": {"attempts": []}}
    assert created == ids | rest | more


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        pytest.param(OLD, {"sendResultsToClient": True}, id="v1.1-results-to-client"),
        pytest.param(NEW, {"enableSessionImage": True}, id="v1.2-session-image"),
        pytest.param(NEW, {"livenessModelVersion": "2025-05-20"}, id="v1.2-model"),
        pytest.param(NEW, {"livenessOperationMode": "PassiveActive"}, id="v1.2-passive-active"),
        pytest.param(NEWEST, {"numberOfClientAttemptsAllowed": 3}, id="v1.3-attempts"),
        pytest.param(
            NEWEST, {"userCorrelationId": "u", "userCorrelationIdSetInClient": False}, id="v1.3-user"
        ),
        pytest.param(NEWEST, {"expectedClientIpAddress": "203.0.113.0/24"}, id="v1.3-address"),
        *(pytest.param(v, {"authTokenTimeToLiveInSeconds": 86400}, id=f"{v}-longest") for v in VERSIONS),
        *(pytest.param(v, {"deviceCorrelationId": "d" * 64}, id=f"{v}-long-device") for v in VERSIONS),
        *(
            pytest.param(
                v, {"deviceCorrelationId": None, "deviceCorrelationIdSetInClient": True}, id=f"{v}-client"
            )
            for v in VERSIONS
        ),
    ],
)
async def test_documented_field_is_taken(face: FaceClient, version: str, fields: dict[str, object]) -> None:
    """Each version takes its own fields, up to their limits."""
    assert (await face.post(version, GOOD | fields)).status_code == 200


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        pytest.param(NEW, {"sendResultsToClient": False}, id="v1.2-results-to-client"),
        pytest.param(NEWEST, {"sendResultsToClient": False}, id="v1.3-results-to-client"),
        pytest.param(OLD, {"enableSessionImage": True}, id="v1.1-session-image"),
        pytest.param(OLD, {"livenessModelVersion": "2024-11-15"}, id="v1.1-model"),
        pytest.param(NEW, {"numberOfClientAttemptsAllowed": 1}, id="v1.2-attempts"),
        pytest.param(NEWEST, {"numberOfClientAttemptsAllowed": 4}, id="v1.3-too-many-attempts"),
        pytest.param(NEWEST, {"numberOfClientAttemptsAllowed": 0}, id="v1.3-no-attempts"),
        pytest.param(OLD, {"clientReference": "x"}, id="unknown-field"),
        pytest.param(OLD, {"livenessOperationMode": 1}, id="mode-of-wrong-type"),
        pytest.param(OLD, {"livenessOperationMode": None}, id="mode-null"),
        pytest.param(OLD, {"deviceCorrelationId": 7}, id="device-of-wrong-type"),
        pytest.param(OLD, {"authTokenTimeToLiveInSeconds": "600"}, id="lifetime-as-text"),
        pytest.param(OLD, {"authTokenTimeToLiveInSeconds": 600.0}, id="lifetime-as-fraction"),
        pytest.param(OLD, {"authTokenTimeToLiveInSeconds": True}, id="lifetime-as-boolean"),
        pytest.param(OLD, {"authTokenTimeToLiveInSeconds": None}, id="lifetime-null"),
        pytest.param(OLD, {"sendResultsToClient": "true"}, id="boolean-as-text"),
        pytest.param(OLD, {"deviceCorrelationIdSetInClient": 1}, id="boolean-as-number"),
    ],
)
async def test_field_outside_of_the_schema_is_refused(
    face: FaceClient, simulator: FaceSimulator, version: str, fields: dict[str, object]
) -> None:
    """Unknown fields, those of other versions and values of the wrong type are an incorrect body."""
    assert code_of(await face.post(version, GOOD | fields)) == (400, "InvalidRequestBody")
    assert simulator.sessions == ()


@every_version
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"[" * 200_000, b"{}"],
    ids=["empty", "cut", "array", "text", "not-utf-8", "deep", "no-mode"],
)
async def test_body_that_is_no_request_is_refused(face: FaceClient, version: str, content: bytes) -> None:
    """What cannot be read as a create request is an incorrect body."""
    response = await face.call(
        "POST", ROOTS[version], content=content, headers={"Content-Type": "application/json"}
    )
    assert code_of(response) == (400, "InvalidRequestBody")


@every_version
@pytest.mark.parametrize("seconds", [59, 86401, 0, -600, 10**30])
async def test_lifetime_out_of_range_is_refused(face: FaceClient, version: str, seconds: int) -> None:
    """A token lives for 60 to 86400 seconds."""
    response = await face.post(version, GOOD | {"authTokenTimeToLiveInSeconds": seconds})
    assert code_of(response) == (400, "InvalidTokenLifetime")
    message = "Invalid authTokenTimeToLiveInSeconds specified. Must be within 60 to 86400."
    assert response.json()["error"]["message"] == message


@pytest.mark.parametrize(
    ("version", "mode"),
    [(OLD, "PassiveActive"), (OLD, "passive"), (NEW, "Active"), (NEWEST, "")],
    ids=["v1.1-passive-active", "v1.1-case", "v1.2-active", "v1.3-empty"],
)
async def test_mode_that_the_version_lacks_is_refused(face: FaceClient, version: str, mode: str) -> None:
    """Each version has its own modes, and one message."""
    response = await face.post(version, GOOD | {"livenessOperationMode": mode})
    assert code_of(response) == (400, "InvalidLivenessOperationMode")
    assert (
        response.json()["error"]["message"] == "Invalid livenessOperationMode specified. Must be 'Passive'."
    )


@every_version
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"deviceCorrelationId": None}, id="null"),
        pytest.param({"deviceCorrelationId": ""}, id="empty"),
        pytest.param({"deviceCorrelationId": "d" * 65}, id="long"),
        pytest.param({"deviceCorrelationIdSetInClient": True}, id="both"),
    ],
)
async def test_device_id_that_does_not_fit_is_refused(
    face: FaceClient, version: str, fields: dict[str, object]
) -> None:
    """A device id of 1 to 64 characters is required, unless the client sets it, and then forbidden."""
    response = await face.post(version, GOOD | fields)
    assert code_of(response) == (400, "InvalidDeviceCorrelationId")
    message = (
        "A device correlation id is required in the request body during session create or session start. "
        "Must not be null or empty, and be no more than 64 characters."
    )
    assert response.json()["error"]["message"] == message


@every_version
async def test_absent_device_id_is_refused(face: FaceClient, version: str) -> None:
    """Leaving the device id out is the same as null."""
    response = await face.post(version, {"livenessOperationMode": "Passive"})
    assert code_of(response) == (400, "InvalidDeviceCorrelationId")


@every_version
@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_with_parameters_is_taken(face: FaceClient, version: str, media_type: str) -> None:
    """The media type is compared without case and parameters."""
    body = b'{"livenessOperationMode": "Passive", "deviceCorrelationId": "device"}'
    response = await face.call("POST", ROOTS[version], content=body, headers={"Content-Type": media_type})
    assert response.status_code == 200


@every_version
async def test_absent_media_type_is_refused(face: FaceClient, version: str) -> None:
    """A body without a media type is as wrong as one with another."""
    response = await face.call("POST", ROOTS[version], content=b"{}")
    assert code_of(response) == (415, "BadArgument")


@every_version
async def test_bearer_token_is_taken_in_place_of_a_key(face: FaceClient, version: str) -> None:
    """An Entra token that the resource knows opens it as the key does."""
    headers = {"Authorization": "Bearer entra-token"}
    assert (await face.call("POST", ROOTS[version], key=None, headers=headers, json=GOOD)).status_code == 200


@every_version
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer other-token"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic entra-token"},
        {"Authorization": f"Bearer {KEY}"},
        {"Ocp-Apim-Subscription-Key": "entra-token"},
        {"Ocp-Apim-Subscription-Key": ""},
    ],
    ids=["unknown-token", "empty-token", "other-scheme", "key-as-token", "token-as-key", "empty-key"],
)
async def test_credential_that_is_not_valid_is_refused(
    face: FaceClient, simulator: FaceSimulator, version: str, headers: dict[str, str]
) -> None:
    """A 401 comes before anything in the request is looked at, with the code of its version."""
    response = await face.call("POST", ROOTS[version], key=None, headers=headers, content=b"{")
    assert code_of(response) == (401, "Unspecified" if version == OLD else "401")
    assert simulator.sessions == ()


async def test_fault_of_a_refused_request_does_not_show(face: FaceClient) -> None:
    """A magic device id in a request that is refused anyway changes nothing."""
    response = await face.post(OLD, {"livenessOperationMode": "x", "deviceCorrelationId": "sim-create-500"})
    assert code_of(response) == (400, "InvalidLivenessOperationMode")
