"""What the production engine finds in the app: exactly these functions, and why it finds none."""

import inspect
import json
import typing
from collections.abc import Mapping
from pathlib import Path

import azure.functions as func
import pytest

from shared.web.routes import ROUTES
from tests.contract.decorated import Decorated
from tests.contract.expected_functions import FUNCTIONS, ExpectedFunction
from tests.support.engine import Engine, EngineFailure, start_engine

HTTP_FUNCTIONS = [function for function in FUNCTIONS if function.trigger["type"] == "httpTrigger"]


def test_app_has_exactly_the_expected_functions(engine: Engine) -> None:
    """The engine reports these functions, in this order, and no other."""
    assert [function.name for function in engine.functions] == [function.name for function in FUNCTIONS]


@pytest.mark.parametrize("expected", FUNCTIONS, ids=lambda function: function.name)
def test_function_has_exactly_the_expected_bindings(engine: Engine, expected: ExpectedFunction) -> None:
    """Route, methods, auth level, queue and schedule, and the direction and name of each binding, are as expected."""
    assert engine.function(expected.name).bindings == expected.bindings


def test_catch_all_comes_last_by_name_and_by_registration(engine: Engine) -> None:
    """The host tries routes by the functions' names, so the one that takes everything has the last of the names."""
    names = [function.name for function in engine.functions]

    assert names[-1] == "unknown_route"
    assert max(names, key=str.lower) == "unknown_route"
    assert [f.name for f in engine.functions if "*" in f.trigger.get("route", "")] == ["unknown_route"]


def test_routes_in_code_are_those_that_are_indexed(engine: Engine) -> None:
    """404 and 405 are decided by exactly the paths and methods that the host has, and none is there twice."""
    indexed = [
        (function.trigger["route"], method)
        for function in engine.functions
        if function.trigger["type"] == "httpTrigger" and function.name != "unknown_route"
        for method in function.trigger.get("methods", ["any"])
    ]

    assert sorted(indexed) == sorted((route.path, route.method) for route in ROUTES)
    assert len(indexed) == len(set(indexed))


def test_decorators_say_the_same_on_every_python(decorated: Decorated) -> None:
    """What `azure.functions` itself makes of the app is the same list, also where the engine does not exist."""
    read = {
        name: tuple(json.loads(raw) for raw in function.get_raw_bindings())
        for name, function in decorated.items()
    }

    assert list(read.items()) == [(function.name, function.bindings) for function in FUNCTIONS]


@pytest.mark.parametrize("name", [function.name for function in HTTP_FUNCTIONS])
def test_http_function_is_declared_to_answer_a_response_and_not_to_block(
    decorated: Decorated, name: str
) -> None:
    """Each HTTP function is a coroutine function that returns `HttpResponse` alone: the engine refuses dicts."""
    user_function = decorated[name].get_user_function()

    assert typing.get_type_hints(user_function) == {"req": func.HttpRequest, "return": func.HttpResponse}
    assert inspect.iscoroutinefunction(user_function)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("FACE_REGION", "atlantis", id="no such region"),
        pytest.param("THROTTLE_DEVICE", "a-lot", id="no policy"),
        pytest.param("AUTH_TOKEN_TTL_MAX_SECONDS", "86401", id="out of range"),
        pytest.param("FACE_API_VERSION", "v9", id="no such version"),
    ],
)
async def test_setting_that_is_wrong_stops_indexing_and_is_named(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    """The host logs why the app has no functions: the setting's name is in there, and not its value."""
    monkeypatch.setenv(setting, value)

    with pytest.raises(EngineFailure, match=rf"SettingsError: {setting}: expected ") as failure:
        await start_engine()

    assert value not in str(failure.value)


async def test_setting_that_is_missing_stops_indexing_and_is_named(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a region nor an endpoint the app does not start, and says what to set."""
    monkeypatch.delenv("FACE_REGION")

    with pytest.raises(EngineFailure, match="SettingsError: FACE_REGION: expected "):
        await start_engine()


async def test_module_that_is_missing_stops_indexing(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One import that fails leaves the host without any function, and the engine says which module it was."""
    (tmp_path / "app_without_module.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHON_SCRIPT_FILE_NAME", "app_without_module.py")

    with pytest.raises(EngineFailure, match="a_module_that_is_not_there"):
        await start_engine(tmp_path)
