"""The compiler and what it makes of the infrastructure, once for all tests of the run."""

from collections import Counter
from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import (
    ENVIRONMENTS,
    INFRA,
    Bicep,
    Compiled,
    name_of,
    snapshot_of,
)
from tests.infra.checkov_scan import SUMMARY
from tests.infra.parameter_files import SWITCHED, snapshot_with


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what a test had to tell, and why tests were left out: neither is a failure, and both have to be seen."""
    for line in config.stash.get(SUMMARY, []):
        terminalreporter.write_line(line)
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    for reason, times in reasons.items():
        terminalreporter.write_line(f"{times} tests were left out. {reason}")


@pytest.fixture(scope="session")
def templates(bicep: Bicep) -> Mapping[str, Compiled]:
    """Every file of the infrastructure, compiled, by its path."""
    return {name_of(path): bicep.compile(path) for path in sorted(INFRA.rglob("*.bicep"))}


@pytest.fixture(scope="session")
def snapshots() -> Mapping[str, Snapshot]:
    """What each environment would deploy, as it is committed; needs no compiler."""
    return {name: Snapshot.load(snapshot_of(name)) for name in ENVIRONMENTS}


@pytest.fixture(scope="session")
def switched(bicep: Bicep, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """What an environment with all those switches would deploy that no committed one uses."""
    return snapshot_with(bicep, SWITCHED, tmp_path_factory.mktemp("switched"))
