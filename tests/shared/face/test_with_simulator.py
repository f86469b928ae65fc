from collections.abc import AsyncIterator

import httpx
import pytest

from local.simulator import FaceSimulator
from shared.errors import (
    UpstreamSessionGone,
)
from shared.face.client import load_version
from shared.face.endpoint import API_VERSIONS
from shared.face.model import CreatedSession, LivenessDecision, LivenessMode, SessionSpec, SessionStatus
from tests.shared.face.doubles import KEY, REQUEST_ID, face_client

each_version = pytest.mark.parametrize("version", list(API_VERSIONS))


@pytest.fixture
async def simulator() -> AsyncIterator[FaceSimulator]:
    simulator = FaceSimulator(key=KEY)
    await simulator.start()
    yield simulator
    await simulator.stop()


def spec(device_id: str) -> SessionSpec:
    return SessionSpec(LivenessMode.PASSIVE, device_id, token_lifetime=600)


async def perform(simulator: FaceSimulator, session: CreatedSession) -> None:
    """Make one attempt, as the phone."""
    async with httpx.AsyncClient(trust_env=False) as phone:
        token = {"Authorization": f"Bearer {session.auth_token}"}
        answer = await phone.post(f"{simulator.url}/simulator/perform", headers=token, json={})
        answer.raise_for_status()


@pytest.mark.parametrize(
    ("device_id", "decision", "failure"),
    [
        ("sim-realface", LivenessDecision.REALFACE, None),
        ("sim-realface-case", LivenessDecision.REALFACE, None),
        ("sim-spoofface", LivenessDecision.SPOOFFACE, None),
        ("sim-uncertain", LivenessDecision.UNCERTAIN, None),
        ("sim-mask", None, "FaceWithMaskDetected"),
        ("sim-unknown-decision", None, "UnknownDecision"),
    ],
)
@each_version
async def test_check_ends_in_its_result(
    simulator: FaceSimulator,
    version: str,
    device_id: str,
    decision: LivenessDecision | None,
    failure: str | None,
) -> None:
    """In every version a session is made, checked, read and deleted, and its result means the same."""
    async with face_client(simulator.url, version=load_version(version)) as face:
        session = await face.create(spec(device_id), REQUEST_ID)
        before = await face.result(session.session_id, REQUEST_ID)
        await perform(simulator, session)
        after = await face.result(session.session_id, REQUEST_ID)
        await face.delete(session.session_id, REQUEST_ID)
        await face.delete(session.session_id, REQUEST_ID)
        with pytest.raises(UpstreamSessionGone):
            await face.result(session.session_id, REQUEST_ID)
    assert before.status is SessionStatus.NOT_STARTED
    assert (after.status, after.decision, after.attempts) == (SessionStatus.RESULT_AVAILABLE, decision, 1)
    assert (after.failure and after.failure.code) == failure
