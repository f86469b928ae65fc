"""What the commands reach, opened when it is asked for and closed together."""

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from local.ops.credentials import EVENT_GRID, STORAGE, OperatorCredential, open_credential
from local.ops.failures import Misuse
from local.ops.poison_queue import PoisonQueue
from local.ops.settings import OpsSettings
from shared.events.event_grid import open_topic
from shared.events.publisher import FilePublisher, Publisher
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE, MessageQueue
from shared.storage.account import StorageAccount
from shared.storage.port import SearchableStore

_DEADLINE_SECONDS = 10.0


class Outside:
    """Storage and events, with the credential of who runs the command; raises `Failure` where there is no token."""

    def __init__(self, settings: OpsSettings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self._environment = environment
        self._resources = AsyncExitStack()
        self._credential: OperatorCredential | None = None

    async def store(self) -> SearchableStore:
        """The tables of the account."""
        account = await self._account()
        with _usable():
            store = account.open_tables(deadline=_DEADLINE_SECONDS)
        self._resources.push_async_callback(store.aclose)
        return store

    async def poison(self) -> PoisonQueue:
        """The queue of the messages that failed, and the one that they came from."""
        results, account = await self.results(), await self._account()
        poison = account.queue_client(POISON_QUEUE, encoded=False, deadline=_DEADLINE_SECONDS, retries=1)
        self._resources.push_async_callback(poison.close)
        return PoisonQueue(poison, results)

    async def results(self) -> MessageQueue:
        """The queue of the app."""
        account = await self._account()
        with _usable():
            # Nothing is sent to a new queue that no app reads.
            account = replace(account, create_missing=False)
            queue = account.open_queue(RESULTS_QUEUE, deadline=_DEADLINE_SECONDS, retries=1)
        self._resources.push_async_callback(queue.aclose)
        return queue

    async def publisher(self) -> Publisher:
        """Who takes events, chosen as the app does."""
        self.settings.require_sink()
        endpoint = self.settings.event_grid_topic_endpoint
        if endpoint is None:
            return FilePublisher(Path(self.settings.events_file or ""))
        topic = open_topic(endpoint, await self._identity(EVENT_GRID))
        self._resources.push_async_callback(topic.aclose)
        return topic

    async def aclose(self) -> None:
        """Close everything, the last opened first."""
        await self._resources.aclose()

    async def _account(self) -> StorageAccount:
        name, connection = self.settings.storage_account, self.settings.storage_connection
        if name is not None:
            return StorageAccount.named(name, await self._identity(STORAGE))
        self.settings.require_storage()
        return StorageAccount.local(connection.reveal() if connection else "")

    async def _identity(self, scope: str) -> OperatorCredential:
        if self._credential is None:
            self._credential = open_credential(self._environment, self.settings.azure_client_id)
            self._resources.push_async_callback(self._credential.close)
        # Asked for here, where there is time, and where a failure is told as such.
        await self._credential.get_token(scope)
        return self._credential


@contextmanager
def _usable() -> Iterator[None]:
    """The SDKs' word for a connection string that lacks something is `ValueError`; theirs may quote it."""
    try:
        yield
    except ValueError:
        raise Misuse("AzureWebJobsStorage: this connection string lacks an endpoint or a key") from None
