"""Opens what the commands work on, with the operator's login."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from ops.azure_cli import AskFailed, AzureCli
from ops.credentials import STORAGE, OperatorCredential, open_credential
from ops.output import CommandFailed, UsageError, notify, printable
from ops.poison_queue import PoisonQueue
from shared.errors import KeyUnavailable
from shared.events.event_grid import open_topic
from shared.events.publisher import FilePublisher, Publisher
from shared.keys.key_vault import open_key_vault
from shared.keys.secret import StaticSecret, values_of
from shared.pseudonyms import Pseudonyms
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE, MessageQueue
from shared.settings import SETTINGS, Settings, connection_parts
from shared.storage.account import StorageAccount
from shared.storage.port import SearchableStore

# The settings that the commands use; an option of the command line replaces each of the first ones.
_OPTIONS: Final = ("storage_account", "event_grid_topic_endpoint", "events_file", "key_vault_url")
_USED: Final = (
    *_OPTIONS,
    "storage_tables",
    "storage_connection",
    "azure_client_id",
    "id_pepper",
    "pepper_secret",
    "throttle_device",
    "throttle_failures",
    "throttle_principal",
    "throttle_overrides",
)
HOW_TO_GIVE_THE_PEPPER: Final = "set KEY_VAULT_URL, or use --vault, or set ID_PEPPER"
_DEADLINE_SECONDS: Final = 10.0
_Opened = TypeVar("_Opened", SearchableStore, MessageQueue, PoisonQueue)


class Connections:
    """The settings, storage account and publisher of one command. All that was opened is closed with `aclose`."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self._environment = environment
        self._resources = AsyncExitStack()
        self._credential: OperatorCredential | None = None

    @property
    def account_option(self) -> str:
        """The options of `az storage` that name the account."""
        if name := _account_name(self.settings):
            return f"--account-name {name} --auth-mode login"
        return '--connection-string "$AzureWebJobsStorage"'

    async def store(self) -> SearchableStore:
        """Open the tables; raises `CommandFailed` without a token."""
        local = self.settings.tables_url is None
        return await self._open(
            lambda account: replace(account, create_missing=local).open_tables(deadline=_DEADLINE_SECONDS)
        )

    async def results(self) -> MessageQueue:
        """Open the queue of `collect_result`; raises `CommandFailed` without a token."""
        # It is never created: a typo in the account's name would lose the message.
        return await self._open(lambda account: account.open_queue(RESULTS_QUEUE, deadline=_DEADLINE_SECONDS))

    async def poison(self) -> PoisonQueue:
        """Open the poison queue; raises `CommandFailed` without a token."""
        return await self._open(
            lambda account: PoisonQueue(
                account.queue_client(POISON_QUEUE, encoded=False, deadline=_DEADLINE_SECONDS)
            )
        )

    async def publisher(self) -> Publisher:
        """Open the topic or the file for events; raises `CommandFailed` without a token."""
        endpoint = self.settings.event_grid_topic_endpoint
        if endpoint is None:
            return FilePublisher(Path(self.settings.events_file or ""))
        topic = open_topic(endpoint, await self._login(f"https://{self.settings.cloud.events}/.default"))
        self._resources.push_async_callback(topic.aclose)
        return topic

    async def pseudonyms(self) -> Pseudonyms | None:
        """What the MACs of records are checked with, or None where no setting names the secret.

        Raises `CommandFailed` where the vault does not give the secret to this login.
        """
        settings = self.settings
        name, secret = settings.pepper_secret, settings.id_pepper
        if secret is None and settings.key_vault_url is not None:
            login = await self._login(f"https://{settings.cloud.vault}/.default")
            vault = open_key_vault(settings.key_vault_url, login, deadline=_DEADLINE_SECONDS)
            self._resources.push_async_callback(vault.aclose)
            try:
                secret = await vault.read(name)
                values_of(secret)
            except KeyUnavailable as fault:
                raise CommandFailed(
                    f"secret {name}: cannot be read with this login: {fault.detail}"
                ) from fault
        return Pseudonyms(StaticSecret(secret)) if secret else None

    async def needed_pseudonyms(self, lack: str) -> Pseudonyms:
        """The same for a command that cannot do without; raises `UsageError`, which begins with `lack`."""
        if found := await self.pseudonyms():
            return found
        raise UsageError(f"{lack}: {HOW_TO_GIVE_THE_PEPPER}")

    async def aclose(self) -> None:
        """Close everything, the last opened first."""
        await self._resources.aclose()

    async def _open(self, opener: Callable[[StorageAccount], _Opened]) -> _Opened:
        connection = self.settings.storage_connection
        if tables_url := self.settings.tables_url:
            account = StorageAccount.at(tables_url, await self._login(STORAGE))
        else:
            account = StorageAccount(connection_string=connection.reveal() if connection else "")
        opened = opener(account)
        self._resources.push_async_callback(opened.aclose)
        return opened

    async def _login(self, scope: str) -> OperatorCredential:
        if self._credential is None:
            self._credential = open_credential(self._environment, self.settings.azure_client_id)
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
    settings = read_settings(environment, {name: getattr(arguments, name, None) for name in _OPTIONS})
    publishes = arguments.verb in ("republish", "erase") and not arguments.dry_run
    sink = settings.event_grid_topic_endpoint or settings.events_file
    if publishes and not sink:
        raise UsageError(
            "nowhere to publish to: set EVENT_GRID_TOPIC_ENDPOINT or EVENTS_FILE, or use --topic or --events-file"
        )
    if publishes and not settings.event_grid_topic_endpoint and not Path(sink or "").parent.is_dir():
        raise UsageError(f"the folder of {sink} does not exist")
    target = await asyncio.to_thread(_target, settings)
    notify(f"{target}; events go to {sink}" if publishes else target)
    connections = connect(settings, environment)
    try:
        yield connections
    finally:
        await connections.aclose()


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
    if options.get("key_vault_url"):
        values.pop("id_pepper", None)
    if options.get("storage_account"):
        values.pop("storage_tables", None)
    if not any(values.get(name) for name in ("storage_account", "storage_tables", "storage_connection")):
        raise UsageError(
            "no storage account: set AzureWebJobsStorage__accountName, or use --account, "
            "or set AzureWebJobsStorage to a connection string"
        )
    return Settings(**values)


def _target(settings: Settings) -> str:
    """Name the storage account, and its region and release, which only the Azure CLI can tell."""
    if not (name := _account_name(settings)):
        connection = settings.storage_connection.reveal() if settings.storage_connection else ""
        parts = connection_parts(connection)
        where = parts.get("tableendpoint") or parts.get("queueendpoint") or "in Azure, region unknown"
        name = printable(parts.get("accountname", "without a name"))
        return f"storage account {name}, {printable(where)}, release unknown"
    return f"storage account {name}, {_deployed(name)}"


def _account_name(settings: Settings) -> str:
    """The name of the account; empty where a connection string names it."""
    return (urlsplit(settings.tables_url or "").hostname or "").partition(".")[0]


def _deployed(account: str) -> str:
    """Name the region of an account, and the release in the tags of its resource group: `ops publish` writes them."""
    region, release = "unknown", "unknown"
    with suppress(AskFailed):
        query = "{region: primaryLocation, group: resourceGroup}"
        found = AzureCli().ask("storage", "account", "show", "--name", account, "--query", query) or {}
        region = found.get("region") or region
        group = ("--name", found["group"], "--query", "tags") if found.get("group") else ()
        tags = (AzureCli().ask("group", "show", *group) if group else None) or {}
        if version := tags.get("version"):
            release = f"{version}, commit {tags.get('commit', 'unknown')}"
    return f"region {printable(region)}, release {printable(release)}"
