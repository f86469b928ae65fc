"""Create, delete, list and audit; what a result looks like is in `test_versions`."""

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


@pytest.mark.parametrize(("version", "status"), [(OLD, 200), (NEW, 204), (NEWEST, 204)], ids=VERSIONS)
async def test_delete_removes_the_session_and_its_token(face: FaceClient, version: str, status: int) -> None:
    """A delete answers nothing, with the status of its version; then the session and its token are unknown."""
    created = await face.create(version=version)
    response = await face.delete(created["sessionId"], version)
    assert (response.status_code, response.content) == (status, b"")
    for again in (
        await face.get(created["sessionId"], version),
        await face.delete(created["sessionId"], version),
    ):
        assert refusal_of(again) == ERRORS["gone"]
    for route in ("start", "perform"):
        assert code_of(await face.phone(route, created["authToken"])) == (401, "Unauthorized")


async def test_deleted_session_is_kept_apart(face: FaceClient, simulator: FaceSimulator) -> None:
    """A test can tell which sessions were left undeleted; Face lists only those."""
    kept, deleted = await face.create("kept"), await face.create("deleted")
    await face.delete(deleted["sessionId"])
    assert [(each.device_id, each.deleted) for each in simulator.sessions] == [
        ("kept", False),
        ("deleted", True),
    ]
    assert [item["id"] for item in await _read(face)] == [kept["sessionId"]]


async def test_list_is_a_bare_array_ordered_by_id(face: FaceClient) -> None:
    """All sessions are listed in the order of their ids, without status and result."""
    assert await _read(face) == []
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
    """A session that does not exist has no audit."""
    assert refusal_of(await face.call("GET", f"{ROOTS[OLD]}/none/audit")) == ERRORS["gone"]


@pytest.mark.parametrize(
    ("path", "query", "error"),
    [
        *(
            (path, {"top": top}, "top")
            for path in ("", "/{id}/audit")
            for top in ("0", "1001", "-1", "x", "", "1.5", "\u0661", "9" * 5000)
        ),
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


@pytest.mark.parametrize("top", [1, 1000])
async def test_top_at_its_limits_is_taken(face: FaceClient, top: int) -> None:
    """Both ends of the range are valid."""
    await face.create()
    assert len(await _read(face, top=top)) == 1


@pytest.mark.parametrize("version", [NEW, NEWEST])
@pytest.mark.parametrize("path", ["", "/some-id/audit"], ids=["list", "audit"])
async def test_later_versions_have_neither_list_nor_audit(face: FaceClient, version: str, path: str) -> None:
    """The operations that v1.2 dropped are unknown paths there."""
    assert refusal_of(await face.call("GET", ROOTS[version] + path)) == ERRORS["no-route"]
    assert (await face.calls())["list"] == 0
