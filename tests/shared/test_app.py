"""Which parts an app has by its settings."""

import pytest

from shared.app import build, current_app, install
from shared.events.event_grid import EventGridPublisher
from shared.events.publisher import FilePublisher, MemoryPublisher
from shared.queues.port import MemoryQueue
from shared.settings import Settings
from shared.storage.port import MemoryStore

KEY = {"FACE_REGION": "westeurope", "FACE_KEY": "a-key"}
STORAGE = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "ID_PEPPER": "p"}
TOPIC = {"EVENT_GRID_TOPIC_ENDPOINT": "https://a.westeurope-1.eventgrid.azure.net/api/events"}
SIGN_IN = {"CLIENT_AUTH": "jwt", "AUTH_ISSUER": "https://issuer.example", "AUTH_AUDIENCE": "api://a"}


@pytest.mark.parametrize(
    ("more", "in_memory", "publisher", "signs_in"),
    [
        ({}, True, MemoryPublisher, False),
        (STORAGE, False, MemoryPublisher, False),
        ({"EVENTS_FILE": "events.jsonl"}, True, FilePublisher, False),
        (TOPIC, True, EventGridPublisher, False),
        (SIGN_IN, True, MemoryPublisher, True),
    ],
)
async def test_settings_choose_the_parts(
    more: dict[str, str], in_memory: bool, publisher: type, signs_in: bool
) -> None:
    """Store and queue are in one place; callers sign in where an issuer is set."""
    app = build(Settings.from_mapping(KEY | more))
    assert (isinstance(app.store, MemoryStore), isinstance(app.queue, MemoryQueue)) == (in_memory, in_memory)
    assert type(app.publisher) is publisher
    assert (app.sign_in is not None) is signs_in
    await app.aclose()


async def test_event_loop_has_one_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is built from the environment at first, unless a host installs its own."""
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    first = current_app()
    assert current_app() is first
    install(other := build(first.settings))
    assert current_app() is other
    await first.aclose()
    await other.aclose()
