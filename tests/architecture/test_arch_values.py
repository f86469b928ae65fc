"""What the deployed modules hold once they are imported: constants, and nothing that remembers."""

import importlib
import sys
from types import ModuleType

import pytest

from shared.settings import SETTINGS
from tests.architecture.constants import impure_values
from tests.architecture.source_tree import Module, modules

DEPLOYED = [module for module in modules() if module.deployed]


@pytest.mark.parametrize("module", DEPLOYED, ids=lambda module: module.name)
def test_module_holds_nothing_but_constants(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """No client, lock or cache is made by an import; the app keeps its state in what `build` returns."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.setenv("FACE_REGION", "westeurope")
    monkeypatch.setenv("FACE_KEY", "a-key-of-the-tests")

    imported = importlib.import_module(module.name)

    assert list(impure_values(module, vars(imported))) == []


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("cache = {}", id="empty dict"),
        pytest.param("seen = []", id="empty list"),
        pytest.param("waiting = [1]", id="list"),
        pytest.param("names = {'a'}", id="set"),
        pytest.param("import asyncio\nlock = asyncio.Lock()", id="lock"),
        pytest.param("import httpx\nclients = {'face': httpx.Client}\nclient = httpx.Client()", id="client"),
        pytest.param("import functools\n@functools.cache\ndef f(): pass", id="cached function"),
        pytest.param("import collections\ncount = collections.Counter()", id="counter"),
        pytest.param("from random import Random\ndraw = Random().random", id="bound method of a generator"),
        pytest.param("import itertools\nids = itertools.count()", id="iterator"),
        pytest.param(
            "from dataclasses import dataclass\n@dataclass\nclass A:\n    a: int\nx = A(1)", id="not frozen"
        ),
        pytest.param(
            "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    a: list\nx = A([])",
            id="frozen around a list",
        ),
        pytest.param("table = {'a': ([],)}", id="list inside of a table"),
        pytest.param(
            "from weakref import WeakKeyDictionary\n_APPS = WeakKeyDictionary()", id="a second registry"
        ),
        pytest.param(
            "import azure.functions as func\na_bp = func.Blueprint()", id="blueprint outside of a trigger"
        ),
    ],
)
def test_value_that_remembers_is_caught(source: str) -> None:
    """What could hold state between two requests is named."""
    assert len(list(impure_values(*_made_up(source)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("A = 1\nB: tuple[str, ...] = ('a', b'b', None, 1.5)\nC = frozenset({1})", id="scalars"),
        pytest.param("import re\nA = {'a': (re.compile('a'), 1)}", id="filled table"),
        pytest.param("from http import HTTPStatus\nA = HTTPStatus.OK", id="enum"),
        pytest.param(
            "from collections.abc import Callable\nfrom typing import Annotated, TypeVar\n"
            "A = Callable[[], int]\nB = Annotated[int, 1]\nC = int | str\nD = TypeVar('D')",
            id="aliases",
        ),
        pytest.param("import logging\n_log = logging.getLogger('a')", id="logger"),
        pytest.param("import json\n_DECODER = json.JSONDecoder()", id="reader"),
        pytest.param(
            "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    a: int\nx = (A(1), A)",
            id="frozen dataclass",
        ),
        pytest.param("def f(): pass\ntable = (f, len, str)", id="functions"),
        pytest.param("__all__ = ['a']", id="list of exports"),
    ],
)
def test_constant_is_not_caught(source: str) -> None:
    """What stays as it is may be there."""
    assert list(impure_values(*_made_up(source))) == []


def _made_up(source: str) -> tuple[Module, dict[str, object]]:
    made = ModuleType("shared.made_up")
    sys.modules[made.__name__] = made
    try:
        exec(source, vars(made))  # noqa: S102 - the text is in this file.
    finally:
        del sys.modules[made.__name__]
    return Module.parse("shared/made_up.py", source), vars(made)
