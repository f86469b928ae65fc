"""How the app reaches its storage account, and opens the tables and queues in it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.queue.aio import QueueClient

    from shared.queues.port import MessageQueue
    from shared.storage.port import SearchableStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageAccount:
    """A storage account: two endpoints and an identity, or a connection string (Azurite).

    The identity needs the roles Storage Table Data Contributor and Storage Queue Data Contributor; its owner closes
    it. `create_missing` creates tables and queues on first use; in Azure the deployment creates them.

    The methods send nothing. `deadline` is the time limit of one call in seconds. They raise `ValueError` for an
    invalid connection string or endpoint.
    """

    table_endpoint: str = ""
    queue_endpoint: str = ""
    credential: "AsyncTokenCredential | None" = field(default=None, repr=False)
    connection_string: str | None = field(default=None, repr=False)
    create_missing: bool = False

    @classmethod
    def named(cls, name: str, credential: "AsyncTokenCredential") -> Self:
        """The account of this name in Azure."""
        return cls(
            table_endpoint=f"https://{name}.table.core.windows.net",
            queue_endpoint=f"https://{name}.queue.core.windows.net",
            credential=credential,
        )

    @classmethod
    def local(cls, connection_string: str) -> Self:
        """An account on this machine."""
        return cls(connection_string=connection_string, create_missing=True)

    def open_tables(self, *, prefix: str = "", deadline: float = 2.0) -> "SearchableStore":
        """Open the entity store; table names start with `prefix`."""
        from azure.data.tables.aio import TableServiceClient

        from shared.storage.tables.store import AzureTableStore
        from shared.storage.tables.transport import PooledTransport

        options = {**_options(deadline, retries=0), "transport": PooledTransport()}
        if self.connection_string is None:
            service = TableServiceClient(self.table_endpoint, credential=self.credential, **options)
        else:
            service = TableServiceClient.from_connection_string(self.connection_string, **options)
        return AzureTableStore(service, prefix=prefix, create_tables=self.create_missing, deadline=deadline)

    def open_queue(self, name: str, *, deadline: float = 2.0, retries: int = 0) -> "MessageQueue":
        """Open a queue; a failed request is repeated `retries` times."""
        from shared.queues.azure_queue import AzureQueue

        client = self.queue_client(name, deadline=deadline, retries=retries)
        return AzureQueue(client, create=self.create_missing, deadline=deadline)

    def queue_client(
        self, name: str, *, encoded: bool = True, deadline: float = 2.0, retries: int = 0
    ) -> "QueueClient":
        """Open the SDK's client of a queue; texts are base64 on the wire, as the Functions host expects.

        https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
        Without `encoded` the client returns texts as they are on the wire.
        """
        from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
        from azure.storage.queue.aio import QueueClient

        options = {**_options(deadline, retries), "use_env_settings": False}
        if encoded:
            options["message_encode_policy"] = TextBase64EncodePolicy()
            options["message_decode_policy"] = TextBase64DecodePolicy()
        if self.connection_string is None:
            return QueueClient(self.queue_endpoint, name, credential=self.credential, **options)
        return QueueClient.from_connection_string(self.connection_string, name, **options)


def _options(deadline: float, retries: int) -> dict[str, Any]:
    return {
        "retry_total": retries,
        "permit_redirects": False,
        "connection_timeout": 0.45 * deadline,
        "read_timeout": 0.9 * deadline,
    }
