"""The production engine over the real app, with a fake of the upstream and a clock that the test moves."""

import sys
from collections.abc import AsyncIterator, Mapping

import pytest

from shared.app import App, build, install
from shared.settings import SETTINGS, Settings
from tests.contract.decorated import Decorated, read_decorated
from tests.support.engine import Engine, start_engine
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Good settings, and no others, in the environment; `function_app` is to be imported anew."""
    settings = {"FACE_REGION": "westeurope", "FACE_KEY": "a-key-of-the-tests"}
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for module in ("function_app", "audit_session", "audit_session.trigger"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return settings


@pytest.fixture
async def engine(environment: Mapping[str, str]) -> Engine:
    return await start_engine()


@pytest.fixture
def decorated(environment: Mapping[str, str]) -> Decorated:
    return read_decorated()


@pytest.fixture
def face() -> FakeFace:
    return FakeFace()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def app(environment: Mapping[str, str], face: FakeFace, clock: FakeClock) -> AsyncIterator[App]:
    """The app that the triggers find on this test's event loop."""
    app = build(Settings.from_mapping(environment), face=face, clock=clock)
    install(app)
    yield app
    await app.aclose()
