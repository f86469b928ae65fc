"""Opens what the commands work on, with the operator's login."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from ops.azure_cli import AskFailed, AzureCli
from ops.credentials import EVENT_GRID, STORAGE, OperatorCredential, open_credential
from ops.exits import UsageError
from ops.output import notify, printable
from ops.poison_queue import AzurePoisonQueue, PoisonQueue
from ops.settings import OPTIONS, read_settings
from shared.events.event_grid import open_topic
from shared.events.publisher import FilePublisher, Publisher
from shared.queues.azure_queue import QueueAccount, open_queue, queue_client
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE, MessageQueue
from shared.settings import Settings
from shared.storage.azure_table import TableAccount, open_table_store
from shared.storage.port import SearchableStore

_DEADLINE_SECONDS: Final = 10.0


class Connections:
    """The storage account and the publisher of one command. All that was opened is closed with `aclose`."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = environment
        self._resources = AsyncExitStack()
        self._credential: OperatorCredential | None = None

    async def store(self) -> SearchableStore:
        """Open the tables; raises `CommandFailed` without a token."""
        account = await self._table_account()
        with _connection_string_checked():
            is_local = self._settings.storage_account is None
            store = open_table_store(account, create_tables=is_local, deadline=_DEADLINE_SECONDS)
        self._resources.push_async_callback(store.aclose)
        return store

    async def results(self) -> MessageQueue:
        """Open the queue of `collect_result`; raises `CommandFailed` without a token."""
        account = await self._queue_account()
        with _connection_string_checked():
            queue = open_queue(account, RESULTS_QUEUE, deadline=_DEADLINE_SECONDS)
        self._resources.push_async_callback(queue.aclose)
        return queue

    async def poison(self) -> PoisonQueue:
        """Open the poison queue; raises `CommandFailed` without a token."""
        account = await self._queue_account()
        with _connection_string_checked():
            client = queue_client(account, POISON_QUEUE, encoded=False, deadline=_DEADLINE_SECONDS)
        self._resources.push_async_callback(client.close)
        return AzurePoisonQueue(client)

    async def publisher(self) -> Publisher:
        """Open the topic or the file for events; raises `CommandFailed` without a token."""
        endpoint = self._settings.event_grid_topic_endpoint
        if endpoint is None:
            return FilePublisher(Path(self._settings.events_file or ""))
        topic = open_topic(endpoint, await self._login(EVENT_GRID))
        self._resources.push_async_callback(topic.aclose)
        return topic

    async def aclose(self) -> None:
        """Close everything, the last opened first."""
        await self._resources.aclose()

    async def _table_account(self) -> TableAccount | str:
        name = self._settings.storage_account
        if name is None:
            return self._connection_string()
        return TableAccount(f"https://{name}.table.core.windows.net", await self._login(STORAGE))

    async def _queue_account(self) -> QueueAccount | str:
        name = self._settings.storage_account
        if name is None:
            return self._connection_string()
        return QueueAccount(f"https://{name}.queue.core.windows.net", await self._login(STORAGE))

    def _connection_string(self) -> str:
        connection = self._settings.storage_connection
        return connection.reveal() if connection else ""

    async def _login(self, scope: str) -> OperatorCredential:
        if self._credential is None:
            self._credential = open_credential(self._environment, self._settings.azure_client_id)
            self._resources.push_async_callback(self._credential.close)
        # Ask for the token now: a request has no time to wait for the Azure CLI.
        await self._credential.get_token(scope)
        return self._credential


Connect = Callable[[Settings, Mapping[str, str]], Connections]


@asynccontextmanager
async def connected(
    arguments: argparse.Namespace, environment: Mapping[str, str], connect: Connect
) -> AsyncIterator[Connections]:
    """Write what the command is about to touch to stderr, and give it the connections; raises `UsageError`."""
    settings = read_settings(environment, {name: getattr(arguments, name, None) for name in OPTIONS})
    publishes = arguments.noun == "events" and not arguments.dry_run
    sink = settings.event_grid_topic_endpoint or settings.events_file
    if publishes and not sink:
        raise UsageError(
            "nowhere to publish to: set EVENT_GRID_TOPIC_ENDPOINT or EVENTS_FILE, or use --topic or --events-file"
        )
    target = await asyncio.to_thread(_target, settings)
    notify(f"{target}; events go to {sink}" if publishes else target)
    connections = connect(settings, environment)
    try:
        yield connections
    finally:
        await connections.aclose()


def _target(settings: Settings) -> str:
    """Name the storage account and its region, which only the Azure CLI can tell."""
    if settings.storage_account is None:
        connection = settings.storage_connection.reveal() if settings.storage_connection else ""
        parts = dict(part.split("=", 1) for part in connection.split(";") if "=" in part)
        where = parts.get("TableEndpoint") or parts.get("QueueEndpoint") or "in Azure, region unknown"
        return f"storage account {printable(parts.get('AccountName', 'without a name'))}, {printable(where)}"
    try:
        query = (
            "storage",
            "account",
            "show",
            "--name",
            settings.storage_account,
            "--query",
            "primaryLocation",
        )
        region = AzureCli().ask(*query) or "unknown"
    except AskFailed:
        region = "unknown"
    return f"storage account {settings.storage_account}, region {region}"


@contextmanager
def _connection_string_checked() -> Iterator[None]:
    """Turn the SDK's `ValueError` about a connection string, which may quote a key, into a `UsageError`."""
    try:
        yield
    except ValueError:
        raise UsageError("AzureWebJobsStorage: this connection string lacks an endpoint or a key") from None
