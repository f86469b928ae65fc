"""The entity stores that the contract tests run over."""

import secrets
from collections.abc import AsyncIterator

import pytest

from shared.storage.memory import MemoryStore
from shared.storage.port import EntityStore
from tests.support.azurite import Azurite, StubCredential

AZURITE = (
    pytest.param("connection-string", marks=pytest.mark.azurite),
    pytest.param("oauth", marks=pytest.mark.azurite),
)


@pytest.fixture
def prefix() -> str:
    """A prefix for the names of this test's own tables."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture(params=["memory", *AZURITE])
async def store(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[EntityStore]:
    """Each store in turn, empty; in Azurite the tables do not exist yet."""
    opened = _open(request, prefix)
    yield opened
    await opened.aclose()


def _open(request: pytest.FixtureRequest, prefix: str) -> EntityStore:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "connection-string":
        plain: Azurite = request.getfixturevalue("azurite")
        return plain.account.open_tables(prefix=prefix)
    request.getfixturevalue("trusted")
    secured: Azurite = request.getfixturevalue("azurite_with_oauth")
    return secured.account_for(StubCredential()).open_tables(prefix=prefix)
