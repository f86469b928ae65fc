from collections.abc import AsyncIterator

import httpx
import pytest

from local.simulator import FaceSimulator
from shared.errors import (
    UpstreamError,
    UpstreamFailure,
    UpstreamQuotaExceeded,
    UpstreamSessionGone,
    UpstreamThrottled,
    UpstreamUnauthorized,
)
from shared.face.client import load_version
from shared.face.endpoint import API_VERSIONS
from shared.face.model import CreatedSession, LivenessDecision, LivenessMode, SessionSpec, SessionStatus
from tests.shared.face.doubles import KEY, REQUEST_ID, FakeCredential, face_client

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


@pytest.mark.parametrize(
    ("device_id", "kind", "retry_after"),
    [
        ("sim-create-401", UpstreamUnauthorized, None),
        ("sim-create-403", UpstreamUnauthorized, None),
        ("sim-create-quota", UpstreamQuotaExceeded, 86_400.0),
        ("sim-create-429", UpstreamThrottled, 26.0),
        ("sim-create-429-header", UpstreamThrottled, 7.0),
        ("sim-create-500", UpstreamFailure, None),
        ("sim-create-502", UpstreamFailure, None),
        ("sim-create-503", UpstreamThrottled, 1.0),
        ("sim-create-lost", UpstreamFailure, None),
    ],
)
async def test_failed_create_has_its_error_and_is_not_repeated(
    simulator: FaceSimulator, device_id: str, kind: type[UpstreamError], retry_after: float | None
) -> None:
    """Each documented failure of a create has its kind and wait, after one request."""
    async with face_client(simulator.url) as face:
        with pytest.raises(kind) as failure:
            await face.create(spec(device_id), REQUEST_ID)
    assert failure.value.retry_after == retry_after
    assert simulator.calls["create"] == 1


@each_version
async def test_flaky_read_succeeds_within_its_tries(simulator: FaceSimulator, version: str) -> None:
    """In every version a read succeeds after two failures."""
    async with face_client(simulator.url, version=load_version(version)) as face:
        session = await face.create(spec("sim-realface"), REQUEST_ID)
        simulator.fail(502, 2)
        assert (await face.result(session.session_id, REQUEST_ID)).status is SessionStatus.NOT_STARTED
        simulator.go_down(2)
        await face.delete(session.session_id, REQUEST_ID)


@each_version
async def test_check_passes_with_the_right_key_only(simulator: FaceSimulator, version: str) -> None:
    """In every version the check passes with the right key, and names a wrong one."""
    async with face_client(simulator.url, version=load_version(version)) as face:
        await face.check(REQUEST_ID)
    wrong = FakeCredential("wrong-key")
    async with face_client(simulator.url, version=load_version(version), credential=wrong) as face:
        with pytest.raises(UpstreamUnauthorized):
            await face.check(REQUEST_ID)
