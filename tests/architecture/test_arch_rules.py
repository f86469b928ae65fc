"""The rules of the layout hold in the tree, and each of them catches what it is there to catch."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import shared
from tests.architecture import import_rules, module_rules
from tests.architecture.import_rules import ADAPTERS
from tests.architecture.rules import RULES, Rule
from tests.architecture.source_tree import FUNCTION_PACKAGES, ROOT, Module, modules, within

RULE = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


@pytest.fixture(scope="module")
def tree() -> list[Module]:
    return modules()


@RULE
def test_tree_keeps_the_rule(rule: Rule, tree: list[Module]) -> None:
    """No module that the rule is for breaks it."""
    concerned = [module for module in tree if RULES[rule](module)]

    assert len(concerned) > 50
    assert [violation for module in concerned for violation in rule(module)] == []


@dataclass(frozen=True, slots=True)
class Snippet:
    """A made-up module: its path, its text, and whether it breaks the rule."""

    rule: Rule
    path: str
    source: str

    def violations(self) -> list[str]:
        """What the rule says of it."""
        return list(self.rule(Module.parse(self.path, self.source)))


_SDK = import_rules.sdks_are_imported_lazily
_EDGE = import_rules.azure_functions_stays_at_the_edge
_HTTPX = import_rules.httpx_stays_in_the_face_client
_ABSOLUTE = import_rules.imports_are_absolute
_APART = import_rules.adapters_do_not_know_each_other
_ROOT = import_rules.adapters_meet_in_the_composition_root
_LAYERS = import_rules.layers_point_one_way
_ENVIRONMENT = module_rules.environment_is_read_in_settings
_RAISED = module_rules.errors_raised_have_a_code
_MACHINERY = module_rules.import_machinery_is_left_alone
_UNCHANGED = module_rules.module_level_names_stay_as_they_are
_DEFINES = module_rules.module_level_only_defines
_DOCSTRING = module_rules.module_opens_with_a_docstring
_EXPORTS = module_rules.package_only_exports
_SECRETS = module_rules.secrets_are_compared_in_constant_time

WRONG = (
    Snippet(_ENVIRONMENT, "shared/a.py", "import os\nx = os.environ['A']"),
    Snippet(_ENVIRONMENT, "shared/a.py", "import os as system\ndef f(): return system.environ.get('A')"),
    Snippet(_ENVIRONMENT, "health/use_case.py", "from os import getenv as read\ndef f(): return read('A')"),
    Snippet(_ENVIRONMENT, "shared/a.py", "from os import environ\ndef f(): return dict(environ)"),
    Snippet(_EDGE, "shared/throttle/subjects.py", "import azure.functions as func"),
    Snippet(_EDGE, "health/use_case.py", "from azure.functions import HttpRequest"),
    Snippet(_EDGE, "shared/webs.py", "from azure import functions"),
    Snippet(_EDGE, "health/use_case.py", "def f():\n    import azure.functions"),
    Snippet(_HTTPX, "shared/keys/a.py", "import json, httpx"),
    Snippet(_HTTPX, "create_session/use_case.py", "def f():\n    from httpx import Client"),
    Snippet(_SDK, "shared/keys/a.py", "from azure.identity.aio import ManagedIdentityCredential"),
    Snippet(_SDK, "shared/keys/a.py", "try:\n    import aiohttp\nexcept ImportError:\n    aiohttp = None"),
    Snippet(_SDK, "shared/keys/a.py", "class A:\n    from azure.core import exceptions"),
    Snippet(_SDK, "shared/keys/a.py", "match 1:\n    case 1:\n        import msal"),
    Snippet(_SDK, "shared/keys/a.py", "if TYPE_CHECKING:\n    import b\nelse:\n    import azure.core"),
    Snippet(_SDK, "shared/app.py", "from shared.storage.tables.store import AzureTableStore"),
    Snippet(_SDK, "shared/app.py", "from shared.storage import memory, tables"),
    Snippet(_ABSOLUTE, "shared/a.py", "from . import b"),
    Snippet(_ABSOLUTE, "health/trigger.py", "def f():\n    from ..shared import b"),
    Snippet(_APART, "shared/storage/memory.py", "from shared.storage.azure_table import TableAccount"),
    Snippet(_APART, "shared/storage/tables/a.py", "def f():\n    from shared.storage import memory"),
    Snippet(_APART, "shared/keys/a.py", "from shared.face.client import FaceClient"),
    Snippet(_APART, "shared/face/a.py", "from shared.keys import KeyCredential"),
    Snippet(_ROOT, "shared/throttle/subjects.py", "from shared.storage.memory import MemoryStore"),
    Snippet(_ROOT, "get_result/use_case.py", "from shared.face import client"),
    Snippet(_ROOT, "shared/settings.py", "from shared.keys import open_key_vault"),
    Snippet(_LAYERS, "shared/a.py", "from create_session.body import CreateBody"),
    Snippet(_LAYERS, "get_result/a.py", "def f():\n    import create_session.body"),
    Snippet(_LAYERS, "shared/a.py", "from local.host import Host"),
    Snippet(_LAYERS, "function_app.py", "import tests.support.fake_face"),
    Snippet(_MACHINERY, "shared/a.py", "import sys\nsys.path.append('.')"),
    Snippet(_MACHINERY, "shared/a.py", "from importlib import import_module\nx = import_module('a')"),
    Snippet(_MACHINERY, "shared/a.py", "x = __import__('a')"),
    Snippet(_UNCHANGED, "shared/a.py", "seen = 0\ndef f():\n    global seen\n    seen = 1"),
    Snippet(_UNCHANGED, "shared/a.py", "_TABLE = {'a': 1}\ndef f(): _TABLE['b'] = 2"),
    Snippet(_UNCHANGED, "shared/a.py", "_TABLE = {'a': 1}\ndef f():\n    del _TABLE['a']"),
    Snippet(
        _UNCHANGED, "shared/a.py", "_TABLE: dict[str, int] = {'a': 1}\ndef f(): _TABLE.setdefault('b', 2)"
    ),
    Snippet(_UNCHANGED, "shared/a.py", "A, B = (1,), (2,)\ndef f(): B.append(3)"),
    Snippet(_UNCHANGED, "shared/app.py", "_OTHER = {1: 1}\ndef f(): _OTHER[2] = 2"),
    Snippet(_DEFINES, "shared/a.py", "import logging\nlogging.basicConfig()"),
    Snippet(_DEFINES, "shared/a.py", "for name in ('a', 'b'):\n    pass"),
    Snippet(_DEFINES, "shared/a.py", "try:\n    import orjson\nexcept ImportError:\n    orjson = None"),
    Snippet(_DEFINES, "shared/a.py", "if True:\n    import orjson"),
    Snippet(_DOCSTRING, "shared/a.py", "import os"),
    Snippet(_DOCSTRING, "local/a.py", "# A comment.\nx = 1\n'''Text.'''"),
    Snippet(_EXPORTS, "shared/a/__init__.py", "'''Text.'''\nfrom a.b import c"),
    Snippet(_EXPORTS, "shared/a/__init__.py", "from a.b import c, d\n__all__ = ['d', 'c']"),
    Snippet(_EXPORTS, "shared/a/__init__.py", "from a.b import c, d\n__all__ = ['c']"),
    Snippet(_EXPORTS, "shared/a/__init__.py", "import a.b\n__all__ = []"),
    Snippet(_EXPORTS, "shared/a/__init__.py", "def f(): pass"),
    Snippet(_SECRETS, "shared/a.py", "def f(a, b): return a.token_hash == b"),
    Snippet(_SECRETS, "shared/a.py", "def f(a, digest): return a != digest.lower()"),
    Snippet(_SECRETS, "shared/a.py", "def f(a, b): return token_hash(a) == b"),
    Snippet(_SECRETS, "shared/a.py", "def f(a, known): return a.auth_token in known"),
    Snippet(_RAISED, "shared/a.py", "def f(): raise UpstreamError('x')"),
    Snippet(_RAISED, "shared/a.py", "def f():\n    raise BrokerError"),
)

RIGHT = (
    Snippet(_ENVIRONMENT, "shared/settings.py", "import os\ndef f(): return os.environ"),
    Snippet(_ENVIRONMENT, "shared/a.py", "import os\ndef f(environ): return environ, os.urandom(1)"),
    Snippet(_EDGE, "function_app.py", "import azure.functions as func"),
    Snippet(_EDGE, "health/trigger.py", "import azure.functions as func"),
    Snippet(_EDGE, "shared/web/a.py", "from azure import functions"),
    Snippet(_HTTPX, "shared/face/a.py", "import httpx"),
    Snippet(_HTTPX, "shared/app.py", "import httpx"),
    Snippet(_SDK, "shared/keys/a.py", "def f():\n    from azure.core import exceptions\n    import aiohttp"),
    Snippet(
        _SDK, "shared/keys/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import azure.core"
    ),
    Snippet(
        _SDK, "shared/web/a.py", "import azure.functions as func\nfrom azure.functions import HttpRequest"
    ),
    Snippet(_SDK, "shared/storage/tables/a.py", "from azure.data.tables import TableEntity"),
    Snippet(_ABSOLUTE, "shared/a.py", "from shared import b"),
    Snippet(_APART, "shared/keys/a.py", "from shared.face.model import FaceCredential\nimport shared.keys.b"),
    Snippet(_APART, "shared/storage/tables/a.py", "from shared.storage import port, azure_table"),
    Snippet(_APART, "shared/app.py", "import shared.face.client, shared.storage.memory"),
    Snippet(_ROOT, "shared/app.py", "from shared.keys import open_key_vault"),
    Snippet(_ROOT, "shared/keys/key_vault.py", "from shared.keys.identity import ManagedIdentity"),
    Snippet(_ROOT, "shared/settings.py", "from shared.keys.secret import Secret"),
    Snippet(_LAYERS, "function_app.py", "from health import health_bp\nfrom shared.app import build"),
    Snippet(_LAYERS, "health/trigger.py", "from health.use_case import check\nfrom shared import web"),
    Snippet(_MACHINERY, "shared/a.py", "import sys\nx = sys.version_info"),
    Snippet(
        _UNCHANGED,
        "shared/a.py",
        "_A = {1: 2}\ndef f(found):\n    found[_A[1]] = 1\n    found.append(_A.get(2))",
    ),
    Snippet(_UNCHANGED, "shared/app.py", "_APPS = {1: 1}\ndef f(): _APPS[2] = 2"),
    Snippet(_DEFINES, "shared/a.py", "'''Text.'''\nimport a\nX = a.b()\n'''What X is.'''\nclass A: pass"),
    Snippet(_DEFINES, "function_app.py", "app.register_functions(a_bp)"),
    Snippet(_DOCSTRING, "shared/a.py", "'''Text.'''\nimport os"),
    Snippet(_EXPORTS, "shared/a/__init__.py", "'''Text.'''"),
    Snippet(
        _EXPORTS,
        "shared/a/__init__.py",
        "'''Text.'''\nfrom a.b import c, B as Dee, FF\n__all__ = ['FF', 'Dee', 'c']",
    ),
    Snippet(_EXPORTS, "shared/a.py", "x = 1"),
    Snippet(_SECRETS, "shared/a.py", "def f(a, digest): return digest is None or a == digest_of(a)"),
    Snippet(_RAISED, "shared/a.py", "def f(): raise UpstreamFailure('x')"),
)


@pytest.mark.parametrize(
    "snippet", WRONG, ids=lambda snippet: f"{snippet.rule.__name__}: {snippet.source[:40]}"
)
def test_violation_is_caught(snippet: Snippet) -> None:
    """A module that breaks the rule is named, with the line."""
    violations = snippet.violations()

    assert violations
    assert all(re.match(rf"{re.escape(snippet.path)}:\d+: ", violation) for violation in violations)


@pytest.mark.parametrize(
    "snippet", RIGHT, ids=lambda snippet: f"{snippet.rule.__name__}: {snippet.source[:40]}"
)
def test_what_is_allowed_is_not_caught(snippet: Snippet) -> None:
    """A module that keeps the rule is left in peace."""
    assert snippet.violations() == []


def test_each_rule_is_tried_on_both_sides() -> None:
    """There is a violation and an allowed case for each rule."""
    assert {snippet.rule for snippet in WRONG} == {snippet.rule for snippet in RIGHT} == set(RULES)


def test_each_storage_module_is_of_an_adapter_or_of_the_port(tree: list[Module]) -> None:
    """A new adapter has to be told to the rules: only the port and its rules belong to all."""
    prefixes = [prefix for group in ADAPTERS.values() for prefix in group]
    unassigned = {
        module.name
        for module in tree
        if within(module.name, "shared.storage")
        and not any(within(module.name, prefix) for prefix in prefixes)
    }

    assert unassigned == {"shared.storage", "shared.storage.port", "shared.storage.rules"}


def test_shared_is_the_projects_own() -> None:
    """No installed package of that name stands before it on the import path."""
    assert Path(shared.__file__ or "") == ROOT / "shared" / "__init__.py"


@pytest.mark.parametrize("package", FUNCTION_PACKAGES)
def test_function_package_is_a_package_with_trigger_and_blueprint(package: str) -> None:
    """Each function package hands out one thing: its blueprint, under a name of its own."""
    init = Module.parse(f"{package}/__init__.py", (ROOT / package / "__init__.py").read_text("utf-8"))

    assert ast.unparse(init.tree).endswith(f"__all__ = ['{package}_bp']")
