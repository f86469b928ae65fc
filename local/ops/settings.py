"""Where storage is and who takes events, by the app's own names; an operator's machine has no other settings."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from local.ops.failures import Misuse
from shared.keys.secret import Secret
from shared.settings import SETTINGS

_NO_STORAGE = (
    "no storage: set AzureWebJobsStorage__accountName, or give --account, "
    "or set AzureWebJobsStorage to a connection string"
)
_NO_SINK = (
    "nobody to publish to: set EVENT_GRID_TOPIC_ENDPOINT or EVENTS_FILE, or give --topic or --events-file"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsSettings:
    """A part of the app's settings, with the same names, forms and precedence."""

    storage_account: str | None = None
    storage_connection: Secret | None = None
    event_grid_topic_endpoint: str | None = None
    events_file: str | None = None
    azure_client_id: str | None = None

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str], given: Mapping[str, str | None]) -> Self:
        """Read the environment; what was `given` on the command line, by field, counts more. Raises `Misuse`."""
        names = {field.name for field in fields(cls)}
        values = {}
        for setting in SETTINGS:
            text = given.get(setting.field) or environment.get(setting.name)
            if setting.field in names and text:
                try:
                    values[setting.field] = setting.parse(text)
                except ValueError:
                    raise Misuse(setting.refusal) from None
        return cls(**values)

    def require_storage(self) -> None:
        """Raise `Misuse` where no storage account is named."""
        if not (self.storage_account or self.storage_connection):
            raise Misuse(_NO_STORAGE)

    def require_sink(self) -> None:
        """Raise `Misuse` where nobody takes events."""
        if not (self.event_grid_topic_endpoint or self.events_file):
            raise Misuse(_NO_SINK)
