"""What all tests share: one Azurite and one Bicep compiler for each worker of the run."""

from pathlib import Path

import pytest

from tests.infra.bicep_compiler import bicep
from tests.support.azurite import azurite, azurite_with_oauth

__all__ = ["azurite", "azurite_with_oauth", "bicep"]

_INFRA = Path(__file__).parent / "infra"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need Azurite, and keep those of the infrastructure on one worker.

    The infrastructure is compiled once for all of its tests.
    """
    for item in items:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        if any(name.startswith("azurite") for name in fixtures):
            item.add_marker("azurite")
        if "bicep" in fixtures or _INFRA in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("infra"))
