"""Create, delete, list and audit; what a result looks like is in `test_versions`."""

import base64
from typing import Any

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.client import NEW, NEWEST, OLD, ROOTS, VERSIONS, FaceClient, code_of, refusal_of
from tests.local.simulator.documented import ERRORS


async def _read(face: FaceClient, path: str = "", **query: str | int) -> list[dict[str, Any]]:
    response = await face.call("GET", ROOTS[OLD] + path, params=query)
    assert response.status_code == 200
    entries: list[dict[str, Any]] = response.json()
    return entries


@pytest.mark.parametrize(
    ("media_type", "status"), [("Application/JSON; charset=utf-8", 200), ("text/plain", 415), (None, 415)]
)
async def test_media_type_is_json(face: FaceClient, media_type: str | None, status: int) -> None:
    """The media type is compared without case and parameters, and has to be there."""
    body = b'{"livenessOperationMode": "Passive", "deviceCorrelationId": "device"}'
    headers = {"Content-Type": media_type} if media_type else {}
    response = await face.call("POST", ROOTS[OLD], content=body, more=headers)
    assert response.status_code == status
    assert status == 200 or refusal_of(response) == ERRORS["415"]


@pytest.mark.parametrize(("version", "status"), [(OLD, 200), (NEW, 204), (NEWEST, 204)], ids=VERSIONS)
async def test_delete_removes_the_session_and_its_token(
    face: FaceClient, simulator: FaceSimulator, version: str, status: int
) -> None:
    """A delete answers nothing, with the status of its version; then the session and its token are unknown."""
    kept, created = await face.create("kept"), await face.create("deleted", version)
    response = await face.remove(created["sessionId"], version)
    assert (response.status_code, response.content) == (status, b"")
    for call in (face.read, face.remove):
        assert refusal_of(await call(created["sessionId"], version)) == ERRORS["gone"]
    assert code_of(await face.phone(created["authToken"])) == (401, "Unauthorized")
    shown = [(each.device_id, each.deleted) for each in simulator.sessions]
    assert shown == [("kept", False), ("deleted", True)]
    assert [item["id"] for item in await _read(face)] == [kept["sessionId"]]


async def test_list_is_a_bare_array_ordered_by_id(face: FaceClient) -> None:
    """Pages of two are the whole list, in the order of the ids, without status and result."""
    created, _ = await face.checked("device-7")
    ids = sorted([created["sessionId"], *[(await face.create())["sessionId"] for _ in range(4)]])
    pages, start = [], ""
    while page := await _read(face, start=start, top=2):
        pages.append([item["id"] for item in page])
        start = page[-1]["id"]
    assert pages == [ids[:2], ids[2:4], ids[4:]]
    assert {
        "id": created["sessionId"],
        "createdDateTime": "2024-03-05T11:07:28.540Z",
        "sessionStartDateTime": "2024-03-05T11:07:28.540Z",
        "sessionExpired": False,
        "deviceCorrelationId": "device-7",
        "authTokenTimeToLiveInSeconds": 600,
    } in await _read(face, top=1000)


async def test_audit_holds_an_entry_for_each_attempt(face: FaceClient) -> None:
    """Attempts are listed oldest first, with ids that count over the whole resource, after the id in `start`."""
    created, _ = await face.checked("sim-second-passes")
    await face.checked()
    await face.perform(created["authToken"])
    path = f"/{created['sessionId']}/audit"
    first, second = await _read(face, path)
    assert (first["id"], first["response"]["statusCode"]) == (1, 400)
    assert (second["id"], second["response"]["statusCode"]) == (3, 200)
    assert (await face.result(created["sessionId"]))["result"] == second
    assert await _read(face, path, start="0", top=1) == [first]
    assert await _read(face, path, start="1") == [second]
    assert await _read(face, path, start="3") == []
    assert refusal_of(await face.call("GET", f"{ROOTS[OLD]}/none/audit")) == ERRORS["gone"]


@pytest.mark.parametrize(
    ("path", "query", "error"),
    [
        *(("", {"top": top}, "top") for top in ("0", "1001", "-1", "", "\u0661", "9" * 5000)),
        ("/{id}/audit", {"top": "0"}, "top"),
        ("", {"start": "s" * 65}, "start"),
        *(("/{id}/audit", {"start": start}, "start") for start in ("s" * 65, "x", "-1")),
    ],
)
async def test_page_out_of_range_is_refused(
    face: FaceClient, path: str, query: dict[str, str], error: str
) -> None:
    """A page has 1 to 1000 entries; `start` is an id of up to 64 characters, for audit a number."""
    session_id = (await face.create())["sessionId"]
    response = await face.call("GET", ROOTS[OLD] + path.format(id=session_id), params=query)
    assert refusal_of(response) == ERRORS[error]


@pytest.mark.parametrize("version", [NEW, NEWEST])
@pytest.mark.parametrize("path", ["", "/some-id/audit"], ids=["list", "audit"])
async def test_later_versions_have_neither_list_nor_audit(face: FaceClient, version: str, path: str) -> None:
    """The operations that v1.2 dropped are unknown paths there."""
    assert refusal_of(await face.call("GET", ROOTS[version] + path)) == ERRORS["no-route"]


@pytest.mark.parametrize("version", [NEW, NEWEST])
async def test_session_image_is_there_as_long_as_its_session(face: FaceClient, version: str) -> None:
    """It is bytes of a JPEG; an unknown id, and one of a deleted session, is not found."""
    created, _ = await face.checked(version=version, enableSessionImage=True)
    attempt = (await face.result(created["sessionId"], version))["results"]["attempts"][0]
    path = f"/face/{version}/sessionImages/{attempt['result']['sessionImageId']}"
    image = await face.call("GET", path)
    assert (image.status_code, image.headers["content-type"]) == (200, "application/octet-stream")
    assert (image.content[:3], image.content[-2:]) == (b"\xff\xd8\xff", b"\xff\xd9")
    await face.remove(created["sessionId"], version)
    for gone in (path, f"/face/{version}/sessionImages/x"):
        assert refusal_of(await face.call("GET", gone)) == ERRORS["gone"]
    assert refusal_of(await face.call("GET", f"/face/{OLD}/sessionImages/x")) == ERRORS["no-route"]


async def test_abuse_monitoring_can_be_turned_off(face: FaceClient) -> None:
    """Sessions created from then on are not monitored, and their attempts have no verdict about abuse."""
    path = f"/face/{NEWEST}/settings"
    before, monitored = await face.call("GET", path), await face.create("sim-abuse", NEWEST)
    off = await face.call("PATCH", path, json={"livenessAbuseMonitoring": {"enabled": False}})
    created, _ = await face.checked("sim-abuse", NEWEST)
    await face.perform(monitored["authToken"])
    shown = [await face.result(each["sessionId"], NEWEST) for each in (monitored, created)]
    assert [answer.json()["livenessAbuseMonitoring"]["enabled"] for answer in (before, off)] == [True, False]
    assert [each["isAbuseMonitoringEnabled"] for each in shown] == [True, False]
    attempts = [each["results"]["attempts"][0] for each in shown]
    assert ["abuseMonitoringResult" in attempt for attempt in attempts] == [True, False]
    assert refusal_of(await face.call("PATCH", path, json={"enabled": False})) == ERRORS["400"]
    assert refusal_of(await face.call("PATCH", path, content=b"{}")) == ERRORS["415"]
    assert refusal_of(await face.call("GET", f"/face/{NEW}/settings")) == ERRORS["no-route"]


async def test_token_for_the_sdk_has_an_end(face: FaceClient) -> None:
    """It looks like the real one, and opens nothing."""
    answer = (await face.call("GET", f"/face/{NEWEST}/settings/getClientAssetsAccessToken")).json()
    assert base64.b64decode(answer["base64AccessToken"]).decode() == answer["accessToken"]
    assert answer["expiry"] == "2024-03-05T12:07:28.540Z"
