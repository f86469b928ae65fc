"""The production engine over the real app, with a fake of the upstream and a clock that the test moves."""

import importlib
import sys
from collections.abc import AsyncIterator, Mapping

import azure.functions as func
import pytest
from azure.functions.decorators.function_app import Function

from shared.app import App, build, install
from shared.settings import SETTINGS, Settings
from tests.support.engine import Engine, start_engine
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock

Decorated = Mapping[str, Function]


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
    """The functions by their names as `azure.functions` knows them, on every Python and without the engine."""
    app: func.FunctionApp = importlib.import_module("function_app").app
    # The app remembers the names it saw, and takes a second reading for duplicates.
    app.functions_bindings = None
    functions = app.get_functions()
    app.functions_bindings = None
    return {str(function.get_function_name()): function for function in functions}


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
