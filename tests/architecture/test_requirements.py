"""`requirements.in` names what the deployed code imports, and nothing else; the locks fit their requirements."""

import ast
import json
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.source_tree import DEPLOYED, ROOT, deployed_modules, imports, tracked

LINES = [line for line in (ROOT / "requirements.in").read_text("utf-8").splitlines() if line[:1].isalpha()]
REQUIRED = [re.split(r"[\[<>=]", line)[0] for line in LINES]
OUR_OWN = {*DEPLOYED, *sys.stdlib_module_names}
LOCKS = sorted(path.stem for path in ROOT.glob("requirements*.in"))
_PIN = re.compile(
    r"^([^ =]+)==([^ ]+)(?: ; [^\\\n]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE
)


@pytest.fixture(scope="module")
def third_party() -> set[str]:
    """The names that deployed code imports from packages that are neither ours nor Python's."""
    names = {name for tree in deployed_modules().values() for name in imports(tree)}
    return {name for name in names if name.partition(".")[0] not in OUR_OWN}


def test_each_import_has_a_requirement(third_party: set[str]) -> None:
    """A package is named even if another requirement installs it, because that one may stop to."""
    assert "azure.functions" in third_party
    assert [name for name in third_party if not any(_provides(one, name) for one in REQUIRED)] == []


def test_each_requirement_is_imported(third_party: set[str]) -> None:
    """An unused package makes the start slower and the attack surface larger."""
    assert [one for one in REQUIRED if not any(_provides(one, name) for name in third_party)] == []


def test_each_requirement_is_bounded() -> None:
    """The lower bound is a version that was tried, the upper bound the next one that may break."""
    assert [
        line for line in LINES if not re.fullmatch(r"[A-Za-z-]+(\[[a-z]+\])?>=[0-9.]+,<[0-9.]+", line)
    ] == []


@pytest.mark.parametrize("name", LOCKS)
def test_each_lock_fits_its_requirements(name: str) -> None:
    """`make lock` is needed after each change of the requirements."""
    pins = _pins(name)
    lines = (ROOT / f"{name}.in").read_text("utf-8").splitlines()
    named = [Requirement(line) for line in lines if line[:1].isalpha()]

    for one in named:
        versions = pins[canonicalize_name(one.name)]
        assert versions, one
        assert all(one.specifier.contains(version) for version in versions), one


@pytest.mark.parametrize("name", [path for path in tracked() if path.endswith("package-lock.json")])
def test_each_package_of_npm_has_a_hash(name: str) -> None:
    """It names no place to fetch from either: npm's own configuration does."""
    lock = json.loads((ROOT / name).read_text("utf-8"))
    wanted = json.loads((ROOT / name).with_name("package.json").read_text("utf-8"))["dependencies"]
    packages = [package for path, package in lock["packages"].items() if path]

    assert lock["packages"][""]["dependencies"] == wanted
    assert {package.keys() & {"integrity", "resolved"} == {"integrity"} for package in packages} == {True}


def test_the_tests_run_with_the_versions_that_are_deployed() -> None:
    """The locks of runs and of development have everything of the app's lock, at the same versions."""
    deployed, run, tested = _pins("requirements"), _pins("requirements-run"), _pins("requirements-dev")

    assert {name: run[name] for name in deployed} == deployed
    assert {name: tested[name] for name in run} == run


def test_a_local_run_imports_what_its_lock_installs() -> None:
    """`make run` installs no tools of developers, and its lock is the whole of what it imports, also for operators."""
    own = ("local", "ops")
    paths = [path for folder in own for path in (ROOT / folder).rglob("*.py")]
    names = {name for path in paths for name in imports(ast.parse(path.read_text()))}
    # The one that is found by its files: see local/api_page.py.
    names |= {"swagger_ui"}
    others = {name for name in names if name.partition(".")[0] not in {*own, *OUR_OWN}}

    assert {"aiohttp.web", "swagger_ui"} <= others
    locked = _pins("requirements-run")
    assert [name for name in others if not any(_provides(one, name) for one in locked)] == []


def test_each_install_requires_hashes() -> None:
    """Neither the Makefile nor the pipeline nor the package takes a file that is not in a lock."""
    texts = {
        path: (ROOT / path).read_text("utf-8")
        for path in tracked()
        if re.match(r"Makefile|\.ci/|\.github/|scripts/|benchmarks/peers", path)
    }
    of_npm = re.compile(r"\bnpm\W+i(nstall)?\b(?! --package-lock-only)")
    assert [path for path, text in texts.items() if of_npm.search(text)] == []
    installs = {path: len(re.findall(r"\bpip\W+install\b", text)) for path, text in texts.items()}

    assert {path: count for path, count in installs.items() if count} == {
        "scripts/environment.sh": texts["scripts/environment.sh"].count("--require-hashes --only-binary"),
        "scripts/package.py": texts["scripts/package.py"].count("--require-hashes"),
    }


def _pins(name: str) -> Mapping[str, set[str]]:
    """The versions of each package in a lock; some have one for older Pythons too."""
    pins: dict[str, set[str]] = defaultdict(set)
    for package, version, _hashes in _PIN.findall((ROOT / f"{name}.txt").read_text("utf-8")):
        pins[canonicalize_name(package)].add(version)
    return pins


def _provides(requirement: str, name: str) -> bool:
    """Whether a distribution holds the module of a name, or the module that the name is from."""
    modules = (name.replace(".", "/"), name.rpartition(".")[0].replace(".", "/"))
    return any(f"{path}{end}" in _files(requirement) for path in modules for end in (".py", "/__init__.py"))


@cache
def _files(requirement: str) -> set[str]:
    return {file.as_posix() for file in distribution(requirement).files or ()}
