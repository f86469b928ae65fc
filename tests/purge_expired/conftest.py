"""The app over each store, with a clock that the test moves."""

import secrets
from collections.abc import AsyncIterator

import pytest

from shared.app import App
from shared.storage.port import EntityStore, MemoryStore
from tests.support.app import app_of
from tests.support.azurite import Azurite
from tests.support.time import FakeClock


@pytest.fixture(params=["memory", pytest.param("azurite", marks=pytest.mark.azurite)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[EntityStore]:
    """Each store in turn, empty."""
    opened: EntityStore = MemoryStore()
    if request.param == "azurite":
        azurite: Azurite = request.getfixturevalue("azurite")
        opened = azurite.account.open_tables(prefix=f"t{secrets.token_hex(6)}")
    yield opened
    await opened.aclose()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(store: EntityStore, clock: FakeClock) -> App:
    return app_of(store=store, clock=clock)
