"""What the production engine finds in the app: exactly these functions, and why it finds none."""

import inspect
import json
import typing
from collections.abc import Mapping

import azure.functions as func
import pytest

from shared.web.routes import ROUTES
from tests.contract.conftest import Decorated
from tests.contract.expected_functions import FUNCTIONS
from tests.support.engine import Engine, EngineFailure, start_engine

HTTP_FUNCTIONS = [name for name, (trigger, *_) in FUNCTIONS.items() if trigger["type"] == "httpTrigger"]
EXPECTED = list(FUNCTIONS.items())


def test_app_has_exactly_the_expected_functions(engine: Engine) -> None:
    assert [(function.name, function.bindings) for function in engine.functions] == EXPECTED


def test_decorators_say_the_same_on_every_python(decorated: Decorated) -> None:
    """`azure.functions` itself makes the same list of the app, also where the engine does not exist."""
    bindings = {name: function.get_raw_bindings() for name, function in decorated.items()}

    assert [(name, tuple(map(json.loads, raw))) for name, raw in bindings.items()] == EXPECTED


def test_catch_all_comes_last_by_name_and_by_registration(engine: Engine) -> None:
    """The host tries routes by the functions' names, so the one that takes everything has the last of the names."""
    names = [function.name for function in engine.functions]

    assert names[-1] == max(names, key=str.lower) == "unknown_route"


def test_routes_in_code_are_those_that_are_indexed(engine: Engine) -> None:
    """404 and 405 are decided by exactly the paths and methods that the host has, and none is there twice."""
    indexed = [
        (function.trigger["route"], method)
        for function in engine.functions
        if function.trigger["type"] == "httpTrigger" and function.name != "unknown_route"
        for method in function.trigger.get("methods", ["any"])
    ]

    assert sorted(indexed) == sorted((route.path, method) for route in ROUTES for method in route.methods)
    assert len(indexed) == len(set(indexed))


@pytest.mark.parametrize("name", HTTP_FUNCTIONS)
def test_http_function_is_declared_to_answer_a_response_and_not_to_block(
    decorated: Decorated, name: str
) -> None:
    """Each HTTP function is a coroutine function that returns `HttpResponse` alone: the engine refuses dicts."""
    user_function = decorated[name].get_user_function()

    assert typing.get_type_hints(user_function) == {"req": func.HttpRequest, "return": func.HttpResponse}
    assert inspect.iscoroutinefunction(user_function)


async def test_audit_needs_no_function_key_where_servers_sign_in(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trigger asks for their role; the key is left for `ready` alone."""
    auth = {"CLIENT_AUTH": "jwt", "AUTH_ISSUER": "https://issuer.example", "AUTH_AUDIENCE": "api://liveness"}
    for name, value in auth.items():
        monkeypatch.setenv(name, value)

    functions = (await start_engine()).functions

    levels = {function.name: function.trigger.get("authLevel") for function in functions}
    assert [name for name, level in levels.items() if level == "FUNCTION"] == ["ready"]


@pytest.mark.parametrize("setting", ["FACE_REGION", "THROTTLE_DEVICE", "AUTH_TOKEN_TTL_MAX_SECONDS"])
async def test_setting_that_is_wrong_stops_indexing_and_is_named(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """The host logs why the app has no functions: the setting's name is in there, and not its value."""
    monkeypatch.setenv(setting, "atlantis")

    with pytest.raises(EngineFailure, match=rf"SettingsError: {setting}: expected ") as failure:
        await start_engine()

    assert "atlantis" not in str(failure.value)
