"""Every Bicep file compiles, is formatted, and deploys what is committed."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import (
    EMPTY_VARIABLE,
    ENVIRONMENTS,
    INFRA,
    REQUIRED_VARIABLES,
    Bicep,
    Compiled,
    name_of,
    parameters_of,
    written,
)

FILES = sorted(INFRA.rglob("*.bicep"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_file_compiles_without_errors_or_warnings(
    bicep: Bicep, templates: Mapping[str, Compiled], path: Path
) -> None:
    """Neither the compiler nor its linter finds anything, and its formatter changes nothing.

    No module comes from a registry: a build needs no network.
    """
    text = path.read_text("utf-8")

    assert templates[name_of(path)].messages == ()
    assert "resources" in templates[name_of(path)].template
    assert bicep.format(path) == text
    assert not re.search("'br[:/]", text)


@pytest.mark.parametrize("path", sorted(INFRA.rglob("*.bicepparam")), ids=name_of)
def test_parameter_file_fits_its_template(bicep: Bicep, path: Path) -> None:
    """Each environment gives the parameters of the main template, in the right types; it is formatted too."""
    compiled = bicep.compile_parameters(path)

    assert compiled.messages == ()
    assert "environmentName" in compiled.template["parameters"]
    assert bicep.format(path) == path.read_text("utf-8")


@pytest.mark.parametrize("variable", REQUIRED_VARIABLES)
def test_production_does_not_compile_without_its_variables(
    bicep: Bicep, tmp_path: Path, variable: str
) -> None:
    """An empty variable would shut out all callers, or tell nobody of an alert."""
    text = parameters_of("prod").read_text("utf-8")
    without = text.replace(f"Variable('{variable}'", f"Variable('{EMPTY_VARIABLE}'")

    compiled = bicep.compile_parameters(written(bicep, without, tmp_path))

    assert any(f"set the environment variable {variable}" in line for line in compiled.messages)
    assert compiled.template == {}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_committed_snapshot_is_current(
    bicep: Bicep, snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """A change of what is deployed changes a committed file, and so is seen in a review."""
    assert bicep.snapshot(parameters_of(environment)).lines() == snapshots[environment].lines(), (
        "If you meant this change, run scripts/snapshots.sh."
    )
