"""List and audit, which only v1.1-preview.1 has."""

from typing import Any

import pytest

from tests.local.simulator.simulator_client import (
    NEW,
    NEWEST,
    OLD,
    ROOTS,
    SESSION_NOT_FOUND,
    FaceClient,
    code_of,
)

START_MESSAGE = (
    "Start parameter is invalid. "
    "Please specify the 'Id' field of the last entry to continue the listing process."
)
TOP_MESSAGE = "Top parameter is invalid. Valid range is between 1 and 1000 inclusive."


async def _read(face: FaceClient, path: str = "", **query: str | int) -> list[dict[str, Any]]:
    response = await face.call("GET", ROOTS[OLD] + path, params=query)
    assert response.status_code == 200
    entries: list[dict[str, Any]] = response.json()
    return entries


async def test_list_is_a_bare_array_ordered_by_id(face: FaceClient) -> None:
    """All sessions are listed in the order of their ids, without status and result."""
    ids = {(await face.create())["sessionId"] for _ in range(5)}
    created = await face.create("device-7")
    await face.perform(created["authToken"])
    items = await _read(face)
    assert [item["id"] for item in items] == sorted(ids | {created["sessionId"]})
    [item] = [item for item in items if item["id"] == created["sessionId"]]
    assert item == {
        "id": created["sessionId"],
        "createdDateTime": "2024-03-05T11:07:28.540Z",
        "sessionStartDateTime": "2024-03-05T11:07:28.540Z",
        "sessionExpired": False,
        "deviceCorrelationId": "device-7",
        "authTokenTimeToLiveInSeconds": 600,
    }


async def test_list_continues_after_start(face: FaceClient) -> None:
    """Pages of two, each asked for with the last id seen, are the whole list."""
    ids = sorted([(await face.create())["sessionId"] for _ in range(5)])
    pages, start = [], ""
    while page := await _read(face, start=start, top=2):
        pages.append([item["id"] for item in page])
        start = page[-1]["id"]
    assert pages == [ids[:2], ids[2:4], ids[4:]]


async def test_list_of_an_empty_resource_is_empty(face: FaceClient) -> None:
    """No sessions are an empty array, not a 404."""
    assert await _read(face) == []


async def test_deleted_session_is_not_listed(face: FaceClient) -> None:
    """The list holds what exists."""
    await face.delete((await face.create())["sessionId"])
    assert await _read(face) == []


async def test_audit_holds_an_entry_for_each_attempt(face: FaceClient) -> None:
    """Attempts are listed oldest first, with ids that count over the whole resource."""
    other, created = await face.create(), await face.create("sim-second-passes")
    for token in (created["authToken"], other["authToken"], created["authToken"]):
        await face.perform(token)
    first, second = await _read(face, f"/{created['sessionId']}/audit")
    assert (first["id"], first["response"]["statusCode"]) == (1, 400)
    assert (second["id"], second["response"]["statusCode"]) == (3, 200)
    assert (await face.result(created["sessionId"]))["result"] == second


async def test_audit_continues_after_start(face: FaceClient) -> None:
    """A page begins after the entry whose id is given."""
    created = await face.create()
    for _ in range(3):
        await face.perform(created["authToken"])
    path = f"/{created['sessionId']}/audit"
    assert [entry["id"] for entry in await _read(face, path, start="0", top=2)] == [1, 2]
    assert [entry["id"] for entry in await _read(face, path, start="2")] == [3]
    assert await _read(face, path, start="3") == []


async def test_audit_of_an_unknown_session_is_not_found(face: FaceClient) -> None:
    """There is no audit of a session that does not exist."""
    response = await face.call("GET", f"{ROOTS[OLD]}/none/audit")
    assert (response.status_code, response.json()) == (404, SESSION_NOT_FOUND)


@pytest.mark.parametrize("path", ["", "/{id}/audit"], ids=["list", "audit"])
@pytest.mark.parametrize("top", ["0", "1001", "-1", "x", "", "1.5", "\u0661", "9" * 5000])
async def test_top_out_of_range_is_refused(face: FaceClient, path: str, top: str) -> None:
    """A page has 1 to 1000 entries."""
    session_id = (await face.create())["sessionId"]
    response = await face.call("GET", ROOTS[OLD] + path.format(id=session_id), params={"top": top})
    assert code_of(response) == (400, "BadArgument")
    assert response.json()["error"]["message"] == TOP_MESSAGE


@pytest.mark.parametrize("top", [1, 1000])
async def test_top_at_its_limits_is_taken(face: FaceClient, top: int) -> None:
    """Both ends of the range are valid."""
    await face.create()
    assert len(await _read(face, top=top)) == 1


@pytest.mark.parametrize(
    ("path", "start"),
    [
        pytest.param("", "s" * 65, id="list-long"),
        pytest.param("/{id}/audit", "s" * 65, id="audit-long"),
        pytest.param("/{id}/audit", "x", id="audit-text"),
        pytest.param("/{id}/audit", "-1", id="audit-negative"),
    ],
)
async def test_start_that_is_no_id_is_refused(face: FaceClient, path: str, start: str) -> None:
    """A start is an id that the listing could hold: up to 64 characters, a number for audit."""
    created = await face.create()
    await face.perform(created["authToken"])
    url = ROOTS[OLD] + path.format(id=created["sessionId"])
    response = await face.call("GET", url, params={"start": start})
    assert code_of(response) == (400, "BadArgument")
    assert response.json()["error"]["message"] == START_MESSAGE


@pytest.mark.parametrize("version", [NEW, NEWEST])
@pytest.mark.parametrize("path", ["", "/some-id/audit"], ids=["list", "audit"])
async def test_later_versions_have_neither(face: FaceClient, version: str, path: str) -> None:
    """The operations that v1.2 dropped are unknown paths there."""
    response = await face.call("GET", ROOTS[version] + path)
    assert (response.status_code, response.json()) == (
        404,
        {"error": {"code": "404", "message": "Resource not found"}},
    )
    assert (await face.calls())["list"] == 0
