"""The settings of the commands."""

import pytest

from ops.settings import read_settings

TOPIC = "https://{}.westeurope-1.eventgrid.azure.net/api/events"
STORAGE = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}


@pytest.mark.parametrize(
    ("field", "name", "option", "environment"),
    [
        ("storage_account", "AzureWebJobsStorage__accountName", "option", "environment"),
        ("event_grid_topic_endpoint", "EVENT_GRID_TOPIC_ENDPOINT", TOPIC.format("a"), TOPIC.format("b")),
        ("events_file", "EVENTS_FILE", "option.jsonl", "environment.jsonl"),
    ],
)
def test_option_replaces_the_setting_of_the_environment(
    field: str, name: str, option: str, environment: str
) -> None:
    """Without the option the setting counts."""
    both = read_settings({**STORAGE, name: environment}, {field: option})
    alone = read_settings({**STORAGE, name: environment}, {field: None})

    assert (getattr(both, field), getattr(alone, field)) == (option, environment)


def test_other_settings_of_the_app_are_not_read() -> None:
    """A bad one does not stop a command that has no use for it."""
    assert read_settings({**STORAGE, "FACE_MAX_TPS": "many"}, {}).face_key is None
