"""The entity stores that the contract is held over."""

import secrets
from collections.abc import AsyncIterator

import pytest

from shared.storage.azure_table import TableAccount, open_table_store
from shared.storage.memory import MemoryStore
from shared.storage.port import EntityStore
from tests.support.azurite import Azurite, StubCredential


@pytest.fixture
def prefix() -> str:
    """Start the names of this test's own tables."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture(params=["memory", "connection-string", "oauth"])
async def store(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[EntityStore]:
    """Each store in turn, empty; in Azurite not even the tables are there."""
    opened = _open(request, prefix)
    yield opened
    await opened.aclose()


def _open(request: pytest.FixtureRequest, prefix: str) -> EntityStore:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "connection-string":
        plain: Azurite = request.getfixturevalue("azurite")
        return open_table_store(plain.connection_string, prefix=prefix, create_tables=True)
    secured: Azurite = request.getfixturevalue("azurite_with_oauth")
    assert secured.tls
    account = TableAccount(secured.endpoint("table"), StubCredential())
    context = secured.tls.client_context()
    return open_table_store(account, prefix=prefix, create_tables=True, ssl_context=context)
