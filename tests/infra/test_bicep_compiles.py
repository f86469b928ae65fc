"""The infrastructure as the compiler sees it."""

import difflib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import (
    ENVIRONMENTS,
    INFRA,
    REQUIRED_VARIABLES,
    Bicep,
    Compiled,
    name_of,
    parameters_of,
    require_bicep,
)

FILES = sorted(INFRA.rglob("*.bicep"))
PARAMETER_FILES = sorted(INFRA.rglob("*.bicepparam"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_file_builds_and_nothing_is_found(templates: Mapping[str, Compiled], path: Path) -> None:
    """Each file compiles on its own, with no error and no warning of compiler or linter.

    Apart from those that the version of an API brings on by growing old.
    """
    assert templates[name_of(path)].wrong == []
    assert "resources" in templates[name_of(path)].template


@pytest.mark.parametrize("path", PARAMETER_FILES, ids=name_of)
def test_parameter_file_fits_the_template(bicep: Bicep, path: Path) -> None:
    """Each environment gives what the main template asks for, in the right types."""
    compiled = bicep.compile_parameters(path)

    assert compiled.wrong == []
    assert "environmentName" in compiled.template["parameters"]


@pytest.mark.parametrize("variable", REQUIRED_VARIABLES)
def test_production_needs_its_variables(tmp_path: Path, variable: str) -> None:
    """Without one a live region would let nobody in, or tell nobody of trouble: nothing compiles then.

    An empty one is what pipelines make of one that is missing.
    """
    with require_bicep(tmp_path, {**REQUIRED_VARIABLES, variable: ""}) as bicep:
        compiled = bicep.compile_parameters(parameters_of("prod"))

    assert any(f"set the environment variable {variable}" in line for line in compiled.wrong)
    assert compiled.template == {}


@pytest.mark.parametrize("path", [*FILES, *PARAMETER_FILES], ids=name_of)
def test_format_changes_nothing(bicep: Bicep, path: Path) -> None:
    """Every file is laid out as the compiler would."""
    assert bicep.format(path) == path.read_text("utf-8")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_snapshot_is_what_would_be_deployed(
    bicep: Bicep, snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """A change of what gets deployed is a change of a committed file, and so shows in a review."""
    now = bicep.snapshot(parameters_of(environment))
    difference = difflib.unified_diff(snapshots[environment].lines(), now.lines(), n=6, lineterm="")

    assert (changes := "\n".join(difference)) == "", f"{changes}\nIf that is meant: scripts/snapshots.sh"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_comes_from_a_registry(path: Path) -> None:
    """Resources are written out here: a build needs no network, and a reader sees every property."""
    assert "'br/" not in path.read_text("utf-8")
    assert "'br:" not in path.read_text("utf-8")
