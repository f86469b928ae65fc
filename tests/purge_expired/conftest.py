"""The app over each store, with a clock that the test moves."""

import secrets
from collections.abc import AsyncIterator

import pytest

from shared.app import App, build
from shared.settings import Settings
from shared.storage.azure_table import open_table_store
from shared.storage.memory import MemoryStore
from shared.storage.port import EntityStore
from tests.support.azurite import Azurite
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock

RETENTION_DAYS = 30


def app_over(store: EntityStore, clock: FakeClock, days: int = RETENTION_DAYS) -> App:
    """An app that keeps records for some days."""
    settings = {"FACE_REGION": "westeurope", "FACE_KEY": "a-key", "RECORD_RETENTION_DAYS": str(days)}
    return build(Settings.from_mapping(settings), face=FakeFace(), store=store, clock=clock)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "azurite"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[EntityStore]:
    """Each store in turn, empty."""
    opened = _open(request)
    yield opened
    await opened.aclose()


@pytest.fixture
async def app(store: EntityStore, clock: FakeClock) -> AsyncIterator[App]:
    made = app_over(store, clock)
    yield made
    await made.aclose()


def _open(request: pytest.FixtureRequest) -> EntityStore:
    if request.param == "memory":
        return MemoryStore()
    azurite: Azurite = request.getfixturevalue("azurite")
    prefix = f"t{secrets.token_hex(6)}"
    return open_table_store(azurite.connection_string, prefix=prefix, create_tables=True)
