"""The compiler's results and the committed snapshots, once for all tests of the run."""

from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import (
    ENVIRONMENTS,
    INFRA,
    SWITCHED,
    Bicep,
    Compiled,
    name_of,
    parameters_of,
    snapshot_with,
)


@pytest.fixture(scope="session")
def templates(bicep: Bicep) -> Mapping[str, Compiled]:
    """Every Bicep file, compiled, by its path."""
    return {name_of(path): bicep.compile(path) for path in sorted(INFRA.rglob("*.bicep"))}


@pytest.fixture(scope="session")
def snapshots() -> Mapping[str, Snapshot]:
    """The committed snapshot of each environment; it needs no compiler."""
    return {name: Snapshot.load(parameters_of(name).with_suffix(".snapshot.json")) for name in ENVIRONMENTS}


@pytest.fixture(scope="session")
def switched(bicep: Bicep, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """An environment that uses each switch which no committed environment uses."""
    return snapshot_with(bicep, SWITCHED, tmp_path_factory.mktemp("switched"))
