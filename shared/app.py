"""The composition root: the only place where ports and adapters meet."""

import asyncio
import random
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

from shared.access import Access
from shared.clock import Clock, system_clock
from shared.events.event_grid import open_topic
from shared.events.publisher import FilePublisher, MemoryPublisher, Publisher
from shared.face.budget import Budget
from shared.face.client import FaceClient
from shared.face.model import Face, FaceCredential
from shared.face.shared_budget import SharedBudget
from shared.face.transport import make_http_transport
from shared.face.versions import load_version
from shared.idempotency import Idempotency
from shared.keys import (
    CachedSecret,
    IdentityCredential,
    KeyCredential,
    KeyVaultSecrets,
    ManagedIdentity,
    Secret,
    SecretSource,
    StaticSecret,
    open_identity,
    open_key_vault,
)
from shared.pseudonyms import Pseudonyms
from shared.queues.azure_queue import QueueAccount, open_queue
from shared.queues.memory import MemoryQueue
from shared.queues.port import RESULTS_QUEUE, MessageQueue
from shared.sessions.store import Sessions
from shared.settings import Settings
from shared.storage.azure_table import TableAccount, open_table_store
from shared.storage.memory import MemoryStore
from shared.storage.port import EntityStore
from shared.storage.store_time import StoreTime
from shared.telemetry import quiet_libraries
from shared.throttle import Allowance, Limiter
from shared.throttle.subjects import Subjects

_PEPPER_BYTES = 32
_INSTANCE_BYTES = 8
# An honest phone repeats a create after some seconds, and then perhaps once more.
_SECOND_LOOK_MS = 1_000


@dataclass(frozen=True, slots=True)
class App:
    """What the use-cases work with."""

    settings: Settings
    clock: Clock
    face: Face
    store: EntityStore
    sessions: Sessions
    idempotency: Idempotency
    limiter: Limiter
    subjects: Subjects
    access: Access
    second_looks: Allowance
    pseudonyms: Pseudonyms
    queue: MessageQueue
    publisher: Publisher
    resources: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def aclose(self) -> None:
        """Let go of connections and background work, the last made first."""
        await self.resources.aclose()


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    face: Face | None = None,
    store: EntityStore | None = None,
    queue: MessageQueue | None = None,
    publisher: Publisher | None = None,
) -> App:
    """Put the app together; what is given takes the place of what the settings would make. Nothing is called yet.

    Without a clock, the app goes by the store's time, on which all instances agree.
    """
    quiet_libraries()
    resources = AsyncExitStack()
    store_time = StoreTime(system_clock)
    clock = clock or store_time.now
    secrets_of = _Secrets(settings, clock, resources)
    store = store or _store(settings, secrets_of, store_time, resources)
    pseudonyms = _pseudonyms(secrets_of)
    sessions = Sessions(store, settings.record_retention_days)
    limiter = Limiter(store, clock, random=random.random)
    subjects = Subjects(settings, pseudonyms)
    return App(
        settings=settings,
        clock=clock,
        face=face or _face(settings, secrets_of, clock, store, resources),
        store=store,
        sessions=sessions,
        idempotency=Idempotency(store, pseudonyms, clock),
        limiter=limiter,
        subjects=subjects,
        access=Access(sessions, limiter, subjects),
        second_looks=Allowance(clock, every_ms=_SECOND_LOOK_MS),
        pseudonyms=pseudonyms,
        queue=queue or _queue(settings, secrets_of, clock, resources),
        publisher=publisher or _publisher(settings, secrets_of, resources),
        resources=resources,
    )


def require_settings() -> None:
    """Make sure that the environment's settings are good; raises `SettingsError`."""
    Settings.from_environment()


def current_app() -> App:
    """The app of the running event loop, built from the environment when the first request comes.

    Clients and locks belong to the loop that they were made in; the Functions worker has one for its whole life.
    """
    loop = asyncio.get_running_loop()
    if loop not in _APPS:
        _APPS[loop] = build(Settings.from_environment())
    return _APPS[loop]


def install(app: App) -> None:
    """Make `app` the one of the running event loop: for hosts and tests that built it themselves."""
    _APPS[asyncio.get_running_loop()] = app


_APPS: WeakKeyDictionary[asyncio.AbstractEventLoop, App] = WeakKeyDictionary()


class _Secrets:
    """Where the secrets of this app come from; identity and vault are opened once, when something needs them."""

    def __init__(self, settings: Settings, clock: Clock, resources: AsyncExitStack) -> None:
        self._settings = settings
        self._clock = clock
        self._resources = resources
        self._identity: ManagedIdentity | None = None
        self._vault: KeyVaultSecrets | None = None

    def identity(self) -> ManagedIdentity:
        """The app's managed identity."""
        if self._identity is None:
            self._identity = open_identity(self._settings.azure_client_id)
            self._resources.push_async_callback(self._identity.close)
        return self._identity

    def face_key(self) -> SecretSource:
        """The subscription key."""
        settings = self._settings
        if settings.face_key is not None:
            return StaticSecret(settings.face_key, name="FACE_KEY")
        return self._cached(settings.face_key_secret)

    def pepper(self) -> SecretSource:
        """What ids are hashed with; made up where there is neither a vault nor a store that outlives the process."""
        settings = self._settings
        if settings.id_pepper is None and settings.key_vault_url is not None:
            return self._cached(settings.pepper_secret)
        return StaticSecret(settings.id_pepper or Secret(secrets.token_hex(_PEPPER_BYTES)), name="ID_PEPPER")

    def _cached(self, name: str) -> CachedSecret:
        vault = self._open_vault()
        cached = CachedSecret(lambda: vault.read(name), name=name, clock=self._clock)
        self._resources.push_async_callback(cached.aclose)
        return cached

    def _open_vault(self) -> KeyVaultSecrets:
        if self._vault is None:
            self._vault = open_key_vault(self._settings.key_vault_url or "", self.identity())
            self._resources.push_async_callback(self._vault.aclose)
        return self._vault


def _face(
    settings: Settings, secrets_of: _Secrets, clock: Clock, store: EntityStore, resources: AsyncExitStack
) -> Face:
    http = make_http_transport()
    resources.push_async_callback(http.aclose)
    instance = secrets.token_hex(_INSTANCE_BYTES)
    budget = SharedBudget(Budget(settings.face_max_tps), store, clock, instance=instance)
    resources.push_async_callback(budget.aclose)
    return FaceClient(
        http,
        settings.endpoint.base_url,
        load_version(settings.face_api_version),
        _credential(settings, secrets_of, clock, resources),
        budget,
    )


def _credential(
    settings: Settings, secrets_of: _Secrets, clock: Clock, resources: AsyncExitStack
) -> FaceCredential:
    if settings.face_auth == "key":
        return KeyCredential(secrets_of.face_key())
    credential = IdentityCredential(secrets_of.identity(), clock=clock)
    resources.push_async_callback(credential.aclose)
    return credential


def _store(
    settings: Settings, secrets_of: _Secrets, store_time: StoreTime, resources: AsyncExitStack
) -> EntityStore:
    account: TableAccount | str
    if settings.storage_account is not None:
        endpoint = f"https://{settings.storage_account}.table.core.windows.net"
        account = TableAccount(endpoint, secrets_of.identity())
    elif settings.storage_connection is not None:
        account = settings.storage_connection.reveal()
    else:
        return MemoryStore()
    store = open_table_store(account, create_tables=not settings.in_azure, store_time=store_time)
    resources.push_async_callback(store.aclose)
    return store


def _queue(settings: Settings, secrets_of: _Secrets, clock: Clock, resources: AsyncExitStack) -> MessageQueue:
    account: QueueAccount | str
    if settings.storage_account is not None:
        endpoint = f"https://{settings.storage_account}.queue.core.windows.net"
        account = QueueAccount(endpoint, secrets_of.identity())
    elif settings.storage_connection is not None:
        account = settings.storage_connection.reveal()
    else:
        return MemoryQueue(clock)
    queue = open_queue(account, RESULTS_QUEUE, create=not settings.in_azure)
    resources.push_async_callback(queue.aclose)
    return queue


def _publisher(settings: Settings, secrets_of: _Secrets, resources: AsyncExitStack) -> Publisher:
    if settings.event_grid_topic_endpoint is not None:
        topic = open_topic(settings.event_grid_topic_endpoint, secrets_of.identity())
        resources.push_async_callback(topic.aclose)
        return topic
    return FilePublisher(Path(settings.events_file)) if settings.events_file else MemoryPublisher()


def _pseudonyms(secrets_of: _Secrets) -> Pseudonyms:
    source = secrets_of.pepper()

    async def pepper() -> bytes:
        return (await source.get()).reveal().encode()

    return Pseudonyms(pepper)
