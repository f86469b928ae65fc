"""Readiness over dependencies that fail."""

from health.use_case import Dependency, check_dependencies
from shared.errors import StorageUnavailable
from shared.storage.memory import MemoryStore
from tests.support.app import app_of


class DownStore(MemoryStore):
    """A store that does not answer."""

    async def check(self) -> None:
        raise StorageUnavailable("no answer in time")


async def test_store_that_is_down_is_named() -> None:
    """One dependency fails, the others are told apart from it."""
    found = await check_dependencies(app_of(store=DownStore()), "a-request")

    assert found == [
        Dependency("face", None),
        Dependency("storage", "StorageUnavailable: no answer in time"),
        Dependency("queue", None),
        Dependency("secrets", None),
    ]
