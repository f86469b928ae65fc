"""The entity stores that the contract tests run over."""

import secrets
from collections.abc import AsyncIterator

import pytest

from shared.storage.account import StorageAccount
from shared.storage.port import EntityStore, MemoryStore
from tests.support.azurite import Azurite, StubCredential

EACH_KIND = (
    "memory",
    *(pytest.param(name, marks=pytest.mark.azurite) for name in ("azurite", "azurite_with_oauth")),
)


@pytest.fixture
def prefix() -> str:
    """A prefix for the names of this test's own tables."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture(params=EACH_KIND)
async def store(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[EntityStore]:
    """Each store in turn, empty; in Azurite the tables do not exist yet."""
    opened: EntityStore = MemoryStore()
    if request.param != "memory":
        opened = account_in(request).open_tables(prefix=prefix)
    yield opened
    await opened.aclose()


def account_in(request: pytest.FixtureRequest) -> StorageAccount:
    """The account in the Azurite of this name, by connection string or with an identity."""
    running: Azurite = request.getfixturevalue(request.param)
    if request.param == "azurite":
        return running.account
    request.getfixturevalue("trusted")
    return running.account_for(StubCredential())
