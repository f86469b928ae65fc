"""requirements.txt against the imports of the deployed code: nothing is missing there, and nothing is too much."""

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution

import pytest

from tests.architecture.source_tree import DEPLOYED, ROOT, imports, modules

INDIRECT = {"sniffio": "httpcore looks for it several times a request, and not to find it is slow"}
"""Requirements that no module imports, and why they are there all the same."""


def required() -> list[str]:
    """The names of the distributions in requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    return [found[0] for line in lines if (found := re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line))]


@pytest.fixture(scope="module")
def third_party() -> set[str]:
    """The modules that deployed code imports, and that are neither its own nor Python's."""
    targets = {found.targets[0] for module in modules() if module.deployed for found in imports(module)}
    known = {*DEPLOYED, *sys.stdlib_module_names}
    return {target for target in targets if target.partition(".")[0] not in known}


def provides(name: str, module: str) -> bool:
    """Whether an installed distribution holds this module or package."""
    path = module.replace(".", "/")
    files = {file.as_posix() for file in distribution(name).files or ()}
    return f"{path}.py" in files or f"{path}/__init__.py" in files


def test_each_import_has_a_requirement(third_party: set[str]) -> None:
    """What the app imports is named, even where another requirement would bring it: those may change their mind."""
    found = sorted(third_party)

    assert "azure.functions" in found
    assert [module for module in found if not any(provides(name, module) for name in required())] == []


@pytest.mark.parametrize("name", required())
def test_each_requirement_is_imported(third_party: set[str], name: str) -> None:
    """A package that nothing imports would only make the start slower and the surface larger."""
    is_imported = any(provides(name, module) for module in third_party)

    assert is_imported != (name in INDIRECT)


def test_each_requirement_is_bounded() -> None:
    """Each line has a lowest version that was tried, and ends before the next that may break."""
    lines = [
        line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line[:1].isalpha()
    ]

    assert [line for line in lines if not re.fullmatch(r"[a-z-]+>=[0-9.]+,<[0-9.]+", line)] == []


def test_unknown_distribution_is_an_error() -> None:
    """A requirement that is not installed is noticed, and not taken for one that provides nothing."""
    with pytest.raises(PackageNotFoundError):
        provides("a-distribution-that-does-not-exist", "a")
