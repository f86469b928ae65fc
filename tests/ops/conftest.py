"""What the operator's commands are tried on: real storage, and sessions in it."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.storage.memory import MemoryStore
from shared.storage.port import SearchableStore
from tests.ops.depot import Depot
from tests.support.azurite import Azurite, StubCredential


@pytest.fixture
def depot(azurite: Azurite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Depot:
    """A storage account with empty queues."""
    made = Depot(azurite.connection_string, tmp_path, capsys)
    made.clear()
    return made


@pytest.fixture(params=["memory", "connection-string", "oauth"])
async def searchable(request: pytest.FixtureRequest) -> AsyncIterator[SearchableStore]:
    """Each store in turn, empty."""
    store = _open(request, f"t{secrets.token_hex(6)}")
    yield store
    await store.aclose()


def _open(request: pytest.FixtureRequest, prefix: str) -> SearchableStore:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "connection-string":
        plain: Azurite = request.getfixturevalue("azurite")
        return plain.account.open_tables(prefix=prefix)
    secured: Azurite = request.getfixturevalue("azurite_with_oauth")
    request.getfixturevalue("trusted")
    return secured.account_for(StubCredential()).open_tables(prefix=prefix)
