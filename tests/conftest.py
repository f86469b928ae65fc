"""What all tests share: one Azurite and one Bicep compiler for each worker, the consumer of the docs, a profile."""

import gc

import pytest
from _pytest.nodeid import coerce_node_id
from hypothesis import HealthCheck, settings

from tests.infra.bicep_compiler import bicep
from tests.support.azurite import azurite, azurite_with_oauth, trusted
from tests.support.consumer import orders

# A property test takes its time: the machine may be shared.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

__all__ = ["azurite", "azurite_with_oauth", "bicep", "orders", "trusted"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that need Azurite, and keep on one worker those that need the same slow start.

    The Bicep compiler starts once, and compiles each file once. Azurite over https starts once too.
    """
    in_groups = getattr(config.option, "loadgroup", False)
    for item in items:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        if any(name.startswith("azurite") for name in fixtures):
            item.add_marker("azurite")
        if "bicep" in fixtures:
            item.add_marker(pytest.mark.xdist_group("bicep"))
        if "azurite_with_oauth" in fixtures or "azurite_with_oauth" in item.name:
            item.add_marker(pytest.mark.xdist_group("azurite_with_oauth"))
        for group in item.iter_markers("xdist_group") if in_groups else ():
            # pytest-xdist 3.8 writes the group to an attribute that pytest 9.2 does not read.
            item._id = coerce_node_id(f"{item.nodeid}@{group.args[0]}")


def pytest_collection_finish() -> None:
    """Keep thousands of tests and modules out of each later garbage collection."""
    gc.collect()
    gc.freeze()
