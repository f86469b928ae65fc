"""Deleting a session."""

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.simulator_client import (
    NEW,
    NEWEST,
    OLD,
    SESSION_NOT_FOUND,
    VERSIONS,
    FaceClient,
    code_of,
)


@pytest.mark.parametrize(("version", "status"), [(OLD, 200), (NEW, 204), (NEWEST, 204)], ids=VERSIONS)
async def test_delete_answers_nothing_with_the_status_of_its_version(
    face: FaceClient, version: str, status: int
) -> None:
    """The old version says 200, later ones 204, all with an empty body."""
    response = await face.delete((await face.create(version=version))["sessionId"], version)
    assert (response.status_code, response.content) == (status, b"")


@pytest.mark.parametrize("version", VERSIONS)
async def test_deleted_session_is_not_found(face: FaceClient, version: str) -> None:
    """After a delete, reading and deleting again find nothing."""
    session_id = (await face.create(version=version))["sessionId"]
    await face.delete(session_id, version)
    for response in (await face.get(session_id, version), await face.delete(session_id, version)):
        assert (response.status_code, response.json()) == (404, SESSION_NOT_FOUND)


async def test_delete_revokes_the_token(face: FaceClient) -> None:
    """The phone of a deleted session can do nothing."""
    created = await face.create()
    await face.delete(created["sessionId"])
    for route in ("start", "perform"):
        assert code_of(await face.phone(route, created["authToken"])) == (401, "Unauthorized")


async def test_deleted_session_stays_in_the_listing_as_deleted(
    face: FaceClient, simulator: FaceSimulator
) -> None:
    """A test can tell what was left undeleted."""
    kept, deleted = await face.create("kept"), await face.create("deleted")
    await face.delete(deleted["sessionId"])
    assert [(each.device_id, each.deleted) for each in simulator.sessions] == [
        ("kept", False),
        ("deleted", True),
    ]
    assert kept["sessionId"] in {each.session_id for each in simulator.sessions if not each.deleted}
