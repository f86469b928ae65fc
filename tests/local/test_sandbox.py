"""The budget for Face where Face is the simulator."""

from collections.abc import AsyncIterator

import pytest

from local.sandbox import SandboxBudget
from local.simulator import FaceSimulator
from shared.app import build
from shared.errors import UpstreamThrottled
from shared.face.budget import Budget
from shared.face.model import Face, LivenessMode, SessionSpec
from shared.settings import Settings

RATE = 5.0
REQUEST_ID = "723d6d03-ef33-40a8-9682-23a1feb7bccd"


@pytest.fixture
async def simulator() -> AsyncIterator[FaceSimulator]:
    simulator = FaceSimulator(key="a-key")
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
def budget(simulator: FaceSimulator) -> Budget:
    return SandboxBudget(RATE, lambda: simulator.throttled)


@pytest.fixture
async def face(simulator: FaceSimulator, budget: Budget) -> AsyncIterator[Face]:
    """The client of an app whose budget is that of a sandbox."""
    app = build(Settings.from_mapping({"FACE_ENDPOINT": simulator.url, "FACE_KEY": "a-key"}), budget=budget)
    yield app.face
    await app.aclose()


async def throttled(face: Face, device_id: str) -> bool:
    """Whether a create for a device gets a 429."""
    spec = SessionSpec(LivenessMode.PASSIVE, device_id=device_id, token_lifetime=600)
    try:
        await face.create(spec, REQUEST_ID)
    except UpstreamThrottled:
        return True
    return False


@pytest.mark.parametrize("name", ["429", "429-header", "429-gateway"])
async def test_magic_id_slows_no_other_session_down(face: Face, budget: Budget, name: str) -> None:
    """Its own create is refused, and the rate stays."""
    assert await throttled(face, f"sim-create-{name}")
    assert budget.rate == RATE
    assert not await throttled(face, "another-device")


async def test_throttled_resource_slows_all_sessions_down(
    face: Face, budget: Budget, simulator: FaceSimulator
) -> None:
    """A 429 of the fault switch lowers the rate, as Face's would; the next magic id does not lower it again."""
    simulator.fail(429, count=1)
    assert await throttled(face, "a-device")
    assert budget.rate < RATE / 2
    assert simulator.throttled == 1
