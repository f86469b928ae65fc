"""The part of the app's settings that the commands use."""

from collections.abc import Mapping
from typing import Any, Final

from ops.output import UsageError
from shared.settings import SETTINGS, Settings

OPTIONS: Final = ("storage_account", "event_grid_topic_endpoint", "events_file")
"""The settings that an option of the command line replaces."""

_USED: Final = (*OPTIONS, "storage_connection", "azure_client_id")


def read_settings(environment: Mapping[str, str], options: Mapping[str, str | None]) -> Settings:
    """Read the settings from the command line, then from the environment; raises `UsageError`.

    The other settings of the app are not read: an operator's machine has none of them.
    """
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = options.get(setting.field) or environment.get(setting.name)
        if setting.field in _USED and text:
            try:
                values[setting.field] = setting.parse(text)
            except ValueError:
                raise UsageError(setting.refusal) from None
    if options.get("events_file"):
        # A file on the command line replaces the topic of the environment.
        values.pop("event_grid_topic_endpoint", None)
    if not (values.get("storage_account") or values.get("storage_connection")):
        raise UsageError(
            "no storage account: set AzureWebJobsStorage__accountName, or use --account, "
            "or set AzureWebJobsStorage to a connection string"
        )
    return Settings(**values)
