"""What a deployed module may do when it is imported: define constants, classes and functions, and remember nothing."""

import ast
import dataclasses
import importlib
import json
import logging
import re
import types
import typing
from collections.abc import Iterator
from contextvars import ContextVar
from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

import azure.functions as func
import pytest
from azure.functions.decorators.function_app import FunctionBuilder

from shared.settings import SETTINGS
from tests.architecture.source_tree import FUNCTION_PACKAGES, ROOT, deployed_modules

MODULES = deployed_modules()
CONSTANTS = (
    *(bool, int, float, str, bytes, Enum, types.NoneType, re.Pattern, json.JSONDecoder, logging.Logger),
    *(type, types.FunctionType, types.ModuleType, types.GenericAlias, types.UnionType),
)
STATEMENTS = (ast.For, ast.While, ast.With, ast.Try, ast.If)
CHANGES = {"add", "append", "clear", "extend", "insert", "pop", "remove", "setdefault", "update"}
SECRETS = {"auth_token", "digest", "fingerprint", "front_door_id", "pepper", "token_hash"}


@pytest.mark.parametrize("name", MODULES)
def test_module_only_defines_constants(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import makes no client, lock or cache: all state is in the App."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.setenv("FACE_REGION", "westeurope")
    monkeypatch.setenv("FACE_KEY", "a-key-of-the-tests")

    assert list(faults(name, MODULES[name], vars(importlib.import_module(name)))) == []


def faults(name: str, tree: ast.Module, values: dict[str, Any]) -> Iterator[str]:
    """What a module does beyond definitions: statements, values with state, changes of a constant."""
    for node in tree.body:
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if (is_call and name != "function_app") or (isinstance(node, STATEMENTS) and not is_for_types):
            yield f"line {node.lineno}: {ast.unparse(node)}"
    targets = (ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.AsyncFunctionDef)
    defined = {one for node in tree.body if isinstance(node, targets) for one in _names(node)} - {"__all__"}
    for one in sorted(defined):
        if not (_is_constant(values[one]) or _is_expected(name, values[one])):
            yield f"{one} is a {type(values[one]).__qualname__}"
    for inner in ast.walk(tree):
        if (changed := _changed(inner)) in defined and not _is_expected(name, values[changed]):
            yield f"line {getattr(inner, 'lineno', 0)}: changes {changed}"


def _names(node: ast.Assign | ast.AnnAssign | ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]


def _is_constant(value: object) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_constant, value))
    if isinstance(value, dict | types.MappingProxyType):
        # An empty dictionary is there to be filled.
        return (bool(value) or not isinstance(value, dict)) and all(
            _is_constant(item) for pair in value.items() for item in pair
        )
    if isinstance(value, types.BuiltinFunctionType | types.MethodType):
        # A method of an object keeps the object.
        return isinstance(value.__self__, types.ModuleType | type)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        made_by = getattr(value, "__dataclass_params__")  # noqa: B009 - the type stubs lack it.
        # mypy keeps the fields of those with `unsafe_hash`, which `shared.values.immutable` makes.
        kept = made_by.frozen or made_by.unsafe_hash
        return kept and all(_is_constant(getattr(value, field.name)) for field in dataclasses.fields(value))
    return isinstance(value, CONSTANTS) or type(value).__module__ == typing.__name__


def _is_expected(module: str, value: object) -> bool:
    """The objects that the host looks for, the App of each event loop, and the invocation of each task."""
    return (
        (module.endswith(".trigger") and isinstance(value, func.Blueprint | FunctionBuilder))
        or (module == "function_app" and isinstance(value, func.FunctionApp))
        or (module == "shared.app" and isinstance(value, WeakKeyDictionary))
        or (module == "shared.telemetry" and isinstance(value, ContextVar))
    )


def _changed(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in CHANGES:
            return name
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
            return name
    return None


def test_packages_only_pass_their_blueprint_on() -> None:
    """The host would miss a function in an `__init__.py`, or in a package without a trigger or a registration."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    registered = ast.unparse(MODULES["function_app"])

    assert packages == {*FUNCTION_PACKAGES, "benchmarks", "local", "ops", "shared"}
    for name in FUNCTION_PACKAGES:
        assert [type(node) for node in MODULES[name].body] == [ast.Expr, ast.ImportFrom, ast.Assign], name
        assert f"app.register_functions({name}_bp)" in registered


STATE = """
cache = {}
waiting = [1]
names = {'a'}
table = {'a': ([],)}
import asyncio; lock = asyncio.Lock()
import httpx; client = httpx.Client()
import functools; f = functools.cache(len)
from random import Random; draw = Random().random
import itertools; ids = itertools.count()
from dataclasses import make_dataclass; x = make_dataclass('A', ['a'])(1)
from dataclasses import make_dataclass; x = make_dataclass('A', ['a'], frozen=True)([])
from weakref import WeakKeyDictionary; _APPS = WeakKeyDictionary()
import azure.functions as func; a_bp = func.Blueprint()
import logging; logging.getLogger('a').setLevel(10)
for name in ('a', 'b'): pass
TABLE = {'a': 1}; f = lambda: TABLE.setdefault('b', 2)
TABLE = {'a': 1}; TABLE['b'] = 2
"""
CONSTANT = """
import re; A = {'a': (re.compile('a'), 1.5, b'b', None)}; B = frozenset({1})
from typing import Annotated; A = Annotated[int, 1]; B = int | str; C = list[int]
from dataclasses import make_dataclass; A = make_dataclass('A', ['a'], frozen=True); x = (A(1), A, len)
import logging; _log = logging.getLogger('a')
A = {1: 2}; f = lambda found: found.append(A.get(2))
"""


@pytest.mark.parametrize(("sources", "expected"), [(STATE, 1), (CONSTANT, 0)], ids=["state", "constants"])
def test_state_is_found_and_constants_are_allowed(sources: str, expected: int) -> None:
    """Each line is a module; values that never change are no state."""
    for source in sources.strip().splitlines():
        values: dict[str, Any] = {"__name__": "made_up"}
        exec(source, values)  # noqa: S102 - texts of this file.
        assert len(list(faults("made_up", ast.parse(source), values))) == expected, source


def test_only_settings_read_the_environment() -> None:
    """Ruff checks most modules; this test also checks those that may use other banned names."""
    readers = {
        name for name, tree in MODULES.items() if re.search(r"\b(environ|getenv)\b", ast.unparse(tree))
    }

    assert readers == {"shared.settings"}


def test_secrets_are_compared_in_constant_time() -> None:
    """`hmac.compare_digest` tells a caller nothing by its duration, and `==` does."""
    assert [fault for name, tree in MODULES.items() for fault in _comparisons(name, tree)] == []
    for source in ("a.token_hash == b", "a != digest.lower()", "token_hash(a) == b", "a.auth_token in known"):
        assert list(_comparisons("made_up", ast.parse(source)))
    assert not list(_comparisons("made_up", ast.parse("digest is None or a == digest_of(a)")))


def _comparisons(name: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(
            isinstance(one, ast.Eq | ast.NotEq | ast.In) for one in node.ops
        ):
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            if any(SECRETS & {*side.removesuffix(")").replace("(", ".").split(".")} for side in sides):
                yield f"{name}, line {node.lineno}: {ast.unparse(node)}"
