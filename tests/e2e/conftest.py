import importlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from _pytest.nodeid import coerce_node_id

from tests.support.broker import Broker, running_broker

_PLUGIN = "schemathesis.pytest.plugin"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> None:
    """Load the plugin for the one file that needs it: pyproject.toml keeps it from delaying each start by a second."""
    plugins = parent.config.pluginmanager
    if file_path.name == "test_openapi.py" and not plugins.has_plugin(_PLUGIN):
        plugins.register(importlib.import_module(_PLUGIN), _PLUGIN)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the operation in the id of a test of schemathesis: pytest-xdist runs one test for each id."""
    for item in items:
        if item.path.name == "test_openapi.py":
            item._id = coerce_node_id(f"{item.nodeid.partition('::')[0]}::{item.name}")


@pytest_asyncio.fixture
async def broker() -> AsyncIterator[Broker]:
    async with running_broker() as running:
        yield running
