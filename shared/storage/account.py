"""How the app reaches its storage account, and opens the tables and queues in it."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from shared.text import Sleep

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.queue.aio import QueueClient

    from shared.http import Connections
    from shared.queues.port import MessageQueue
    from shared.storage.port import SearchableStore

LARGEST_PAGE: Final = 4 << 20
"""Bytes in a page of rows: 500 rows of a session's size are under 2 MiB. 32 messages are at most 2 MiB."""

LARGEST_QUEUE_ANSWER: Final = 64 << 10
"""Bytes in an answer of the queue that has no messages of others in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageAccount:
    """A storage account: two endpoints and an identity, or a connection string (Azurite).

    The identity needs the roles Storage Table Data Contributor and Storage Queue Data Contributor; its owner closes
    it. Requests go out over `connections`; without them each client has its own. `create_missing` creates tables and
    queues on first use; in Azure the deployment creates them.

    The methods send nothing. `deadline` is the time limit of one call in seconds. They raise `ValueError` for an
    invalid connection string or endpoint.
    """

    table_endpoint: str = ""
    queue_endpoint: str = ""
    credential: "AsyncTokenCredential | None" = field(default=None, repr=False)
    connection_string: str | None = field(default=None, repr=False)
    create_missing: bool = False
    connections: "Connections | None" = field(default=None, repr=False)

    @classmethod
    def at(
        cls, tables_url: str, credential: "AsyncTokenCredential", connections: "Connections | None" = None
    ) -> Self:
        """The account in Azure whose tables are at `https://NAME.table.SUFFIX`."""
        return cls(
            table_endpoint=tables_url,
            queue_endpoint=tables_url.replace(".table.", ".queue.", 1),
            credential=credential,
            connections=connections,
        )

    @classmethod
    def local(cls, connection_string: str, connections: "Connections | None" = None) -> Self:
        """An account on this machine."""
        return cls(connection_string=connection_string, create_missing=True, connections=connections)

    def open_tables(self, *, prefix: str = "", deadline: float = 2.0) -> "SearchableStore":
        """Open the entity store; table names start with `prefix`."""
        from azure.data.tables.aio import TableServiceClient

        from shared.storage.tables.store import AzureTableStore

        options = self._options(deadline, LARGEST_PAGE)
        if self.connection_string is None:
            service = TableServiceClient(self.table_endpoint, credential=self.credential, **options)
        else:
            service = TableServiceClient.from_connection_string(self.connection_string, **options)
        return AzureTableStore(service, prefix=prefix, create_tables=self.create_missing, deadline=deadline)

    def open_queue(self, name: str, *, deadline: float = 2.0, sleep: Sleep = asyncio.sleep) -> "MessageQueue":
        """Open a queue."""
        from shared.queues.azure_queue import AzureQueue

        client = self.queue_client(name, deadline=deadline, largest_answer=LARGEST_QUEUE_ANSWER)
        return AzureQueue(client, create=self.create_missing, deadline=deadline, sleep=sleep)

    def queue_client(
        self,
        name: str,
        *,
        encoded: bool = True,
        deadline: float = 2.0,
        largest_answer: int = LARGEST_PAGE,
    ) -> "QueueClient":
        """Open the SDK's client of a queue; texts are base64 on the wire, as the Functions host expects.

        https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
        Without `encoded` the client returns texts as they are on the wire.
        """
        from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
        from azure.storage.queue.aio import QueueClient

        options = self._options(deadline, largest_answer)
        if encoded:
            options["message_encode_policy"] = TextBase64EncodePolicy()
            options["message_decode_policy"] = TextBase64DecodePolicy()
        if self.connection_string is None:
            return QueueClient(self.queue_endpoint, name, credential=self.credential, **options)
        return QueueClient.from_connection_string(self.connection_string, name, **options)

    def _options(self, deadline: float, largest_answer: int) -> dict[str, Any]:
        from shared.azure_transport import AzureTransport

        return {
            "transport": AzureTransport(self.connections, largest_answer, deadline),
            "retry_total": 0,
            "permit_redirects": False,
        }
