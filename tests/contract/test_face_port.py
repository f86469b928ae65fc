"""What the port to the upstream promises, held by the fake that tests use and by the real client alike."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from local.simulator import FaceSimulator
from shared.app import build
from shared.errors import UpstreamSessionGone
from shared.face.model import (
    Face,
    LivenessMode,
    SessionSpec,
    SessionStatus,
)
from shared.settings import Settings
from shared.text import parse_session_id
from tests.support.fake_face import FakeFace

SPEC = SessionSpec(LivenessMode.PASSIVE, device_id="a-device", token_lifetime=600)
REQUEST_ID = "723d6d03-ef33-40a8-9682-23a1feb7bccd"


@pytest.fixture(params=["fake", "v1.1-preview.1", "v1.2", "v1.3-preview.1"])
async def port(request: pytest.FixtureRequest) -> AsyncIterator[Face]:
    """The fake, and the client in each version of the API over the simulator."""
    if request.param == "fake":
        yield FakeFace()
    else:
        async with real_client(request.param) as client:
            yield client


@asynccontextmanager
async def real_client(version: str) -> AsyncIterator[Face]:
    """The client as the app is built with it."""
    simulator = FaceSimulator(key="a-key-of-the-tests")
    await simulator.start()
    settings = {"FACE_ENDPOINT": simulator.url, "FACE_KEY": "a-key-of-the-tests", "FACE_API_VERSION": version}
    app = build(Settings.from_mapping(settings))
    yield app.face
    await app.aclose()
    await simulator.stop()


async def test_created_sessions_are_apart_and_not_started(port: Face) -> None:
    first, second = [await port.create(SPEC, REQUEST_ID) for _ in range(2)]

    assert first.session_id != second.session_id
    assert first.auth_token != second.auth_token
    assert parse_session_id(first.session_id) == first.session_id
    await port.check(REQUEST_ID)
    result = await port.result(first.session_id, REQUEST_ID)
    assert (result.status, result.attempts, result.decision) == (SessionStatus.NOT_STARTED, 0, None)


async def test_deleted_or_unknown_session_is_gone(port: Face) -> None:
    """It has no result; and a second delete is fine."""
    session_id = (await port.create(SPEC, REQUEST_ID)).session_id

    for _ in range(2):
        await port.delete(session_id, REQUEST_ID)

    for gone in (session_id, "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(UpstreamSessionGone):
            await port.result(gone, REQUEST_ID)
