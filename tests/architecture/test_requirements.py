"""`requirements.txt` names what the deployed code imports, and nothing else."""

import re
import sys
from importlib.metadata import distribution

import pytest

from tests.architecture.source_tree import DEPLOYED, ROOT, deployed_modules, imports

LINES = [line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line[:1].isalpha()]
REQUIRED = [re.split(r"[\[<>=]", line)[0] for line in LINES]


@pytest.fixture(scope="module")
def third_party() -> set[str]:
    """The names that deployed code imports from packages that are neither ours nor Python's."""
    known = {*DEPLOYED, *sys.stdlib_module_names}
    names = {name for tree in deployed_modules().values() for name in imports(tree)}
    return {name for name in names if name.partition(".")[0] not in known}


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


def _provides(requirement: str, name: str) -> bool:
    """Whether a distribution holds the module of a name, or the module that the name is from."""
    files = {file.as_posix() for file in distribution(requirement).files or ()}
    modules = (name.replace(".", "/"), name.rpartition(".")[0].replace(".", "/"))
    return any(f"{path}{end}" in files for path in modules for end in (".py", "/__init__.py"))
