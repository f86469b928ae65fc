"""The composition root: the only place where ports and adapters meet."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakKeyDictionary

from shared.access import Access
from shared.background import Background
from shared.checks import Checks
from shared.events.event_grid import open_topic
from shared.events.publisher import FilePublisher, MemoryPublisher, Publisher
from shared.face.budget import Budget
from shared.face.calls import LARGEST_BODY
from shared.face.client import FaceClient, load_version
from shared.face.model import Face, FaceCredential
from shared.idempotency import Idempotency
from shared.keys.cache import FORCED, FORCED_SELDOM, Cached, CachedSecret
from shared.keys.credentials import face_tokens, key_credential, token_credential
from shared.keys.identity import ManagedIdentity, open_identity
from shared.keys.key_vault import KeyVaultSecrets, open_key_vault
from shared.keys.secret import Secret, SecretSource, StaticSecret, values_of
from shared.pseudonyms import Pseudonyms
from shared.queues.port import RESULTS_QUEUE, MemoryQueue, MessageQueue
from shared.sessions.store import Sessions
from shared.settings import Settings
from shared.storage.account import StorageAccount
from shared.storage.port import EntityStore, MemoryStore
from shared.suspects import Suspects
from shared.telemetry import BackgroundLog, FloodLog, quiet_libraries
from shared.text import Clock, system_clock
from shared.throttle.limiter import Limiter, LocalLimit
from shared.throttle.subjects import Subjects
from shared.values import immutable

if TYPE_CHECKING:
    from shared.auth.sign_in import SignIn
    from shared.http import Connections

_PEPPER_BYTES = 32
# How often a throttled create with an idempotency key may look for a stored answer, for each caller or address. A phone
# retries after some seconds; a flood must not cost a read for each request.
_SECOND_LOOKS = "1/s"


@immutable
class App:
    """What the use-cases work with; `sign_in` is None where anybody may call."""

    settings: Settings
    clock: Clock
    face: Face
    store: EntityStore
    sessions: Sessions
    idempotency: Idempotency
    limiter: Limiter
    subjects: Subjects
    access: Access
    checks: Checks
    suspects: Suspects
    second_looks: LocalLimit
    pseudonyms: Pseudonyms
    queue: MessageQueue
    publisher: Publisher
    background: Background
    background_log: BackgroundLog
    flood_log: FloodLog
    sign_in: "SignIn | None" = None
    resources: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def aclose(self) -> None:
        """Close connections and end background work, in the reverse order of their making."""
        await self.resources.aclose()


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    face: Face | None = None,
    store: EntityStore | None = None,
    queue: MessageQueue | None = None,
    publisher: Publisher | None = None,
    budget: Budget | None = None,
) -> App:
    """Build the app without calling anything; an argument replaces what the settings would make."""
    quiet_libraries()
    clock = clock or system_clock
    make = _Builder(settings, clock, budget or Budget(settings.face_max_tps))
    store, pseudonyms = store or make.store(), Pseudonyms(make.pepper())
    face, queue = face or make.face(), queue or make.queue()
    sessions = Sessions(store, settings.record_retention_days, pseudonyms)
    flood_log = FloodLog(clock)
    observes = settings.throttle_mode == "observe"
    limiter = Limiter(store, clock, random=random.random, observing_flood_log=flood_log if observes else None)
    subjects = Subjects(settings, pseudonyms)
    background = make.closed_with_app(Background())
    checks = Checks(face, sessions, limiter, subjects, queue, clock)
    return App(
        settings=settings,
        clock=clock,
        face=face,
        store=store,
        sessions=sessions,
        idempotency=Idempotency(store, pseudonyms, clock),
        limiter=limiter,
        subjects=subjects,
        access=Access(sessions, limiter, subjects, pseudonyms, flood_log, clock),
        checks=checks,
        suspects=Suspects(sessions, face, checks, background, clock),
        second_looks=LocalLimit(_SECOND_LOOKS, clock),
        pseudonyms=pseudonyms,
        queue=queue,
        publisher=publisher or make.publisher(),
        background=background,
        background_log=BackgroundLog(clock),
        flood_log=flood_log,
        sign_in=make.sign_in() if settings.client_auth == "jwt" else None,
        resources=make.resources,
    )


def current_app() -> App:
    """The app of the running event loop, built from the environment at the first request.

    Clients and locks belong to the loop that they were made in; the Functions worker has one for its whole life.
    """
    loop = asyncio.get_running_loop()
    if loop not in _APPS:
        _APPS[loop] = build(Settings.from_environment())
    return _APPS[loop]


def install(app: App) -> None:
    """Make `app` the app of the running event loop: for hosts and tests that build their own."""
    _APPS[asyncio.get_running_loop()] = app


_APPS: WeakKeyDictionary[asyncio.AbstractEventLoop, App] = WeakKeyDictionary()


class _Closable(Protocol):
    def aclose(self) -> Awaitable[None]: ...


_Resource = TypeVar("_Resource", bound=_Closable)


class _Builder:
    """Makes the parts of one app from its settings; the app closes what they open."""

    def __init__(self, settings: Settings, clock: Clock, budget: Budget) -> None:
        self._settings = settings
        self._clock = clock
        self._budget = budget
        self.resources = AsyncExitStack()

    def store(self) -> EntityStore:
        account = self._storage_account
        return self.closed_with_app(account.open_tables()) if account else MemoryStore()

    def pepper(self) -> SecretSource:
        """The secret that ids are hashed with; random where there is neither a vault nor a lasting store."""
        settings = self._settings
        if settings.id_pepper is None and settings.key_vault_url is not None:
            # If a new value cannot be used, instances go on with the one that they have.
            return self._vault_secret(settings.pepper_secret, check=values_of)
        return StaticSecret(settings.id_pepper or Secret(secrets.token_hex(_PEPPER_BYTES)))

    def sign_in(self) -> "SignIn":
        from shared.auth.issuer import LARGEST_ANSWER, Issuer
        from shared.auth.sign_in import SharedSecret, SignIn

        settings = self._settings
        http = self._connections.transport(largest_answer=LARGEST_ANSWER)
        issuers = {
            url: self.closed_with_app(
                Cached(Issuer(url, http).read, name=f"keys of {url}", clock=self._clock)
            )
            for url in settings.auth_issuer
        }
        secret = None
        if name := settings.auth_secret_name:
            given = settings.auth_secret and StaticSecret(settings.auth_secret)
            secret = SharedSecret(name, given or self._vault_secret(name, forced=FORCED))
        return SignIn(settings.auth_audience, issuers, secret, self._clock)

    def face(self) -> Face:
        settings = self._settings
        http = self._connections.transport(largest_answer=LARGEST_BODY)
        return FaceClient(
            http,
            settings.face_url,
            load_version(settings.face_api_version),
            self._face_credential(),
            self._budget,
        )

    def _face_credential(self) -> FaceCredential:
        settings = self._settings
        if settings.face_auth == "identity":
            scope = f"https://{settings.cloud.face}/.default"
            return token_credential(self.closed_with_app(face_tokens(self._identity, self._clock, scope)))
        if settings.face_key is not None:
            return key_credential(StaticSecret(settings.face_key))
        return key_credential(self._vault_secret(settings.face_key_secret))

    def queue(self) -> MessageQueue:
        account = self._storage_account
        return (
            self.closed_with_app(account.open_queue(RESULTS_QUEUE)) if account else MemoryQueue(self._clock)
        )

    def publisher(self) -> Publisher:
        settings = self._settings
        if settings.event_grid_topic_endpoint is not None:
            return self.closed_with_app(
                open_topic(settings.event_grid_topic_endpoint, self._identity, self._connections)
            )
        return FilePublisher(Path(settings.events_file)) if settings.events_file else MemoryPublisher()

    def _vault_secret(
        self,
        name: str,
        *,
        forced: tuple[int, int] = FORCED_SELDOM,
        check: Callable[[Secret], object] | None = None,
    ) -> CachedSecret:
        vault = self._vault

        async def read() -> Secret:
            secret = await vault.read(name)
            if check:
                check(secret)
            return secret

        return self.closed_with_app(CachedSecret(read, name=name, clock=self._clock, forced=forced))

    @cached_property
    def _storage_account(self) -> StorageAccount | None:
        settings = self._settings
        if settings.tables_url is not None:
            return StorageAccount.at(settings.tables_url, self._identity, self._connections)
        if settings.storage_connection is not None:
            return StorageAccount.local(settings.storage_connection.reveal(), self._connections)
        return None

    @cached_property
    def _vault(self) -> KeyVaultSecrets:
        """The one client of the vault, made where a part needs it."""
        return self.closed_with_app(
            open_key_vault(self._settings.key_vault_url or "", self._identity, self._connections)
        )

    @cached_property
    def _identity(self) -> ManagedIdentity:
        """The one managed identity of the app, made where a part needs it."""
        identity = open_identity(self._settings.azure_client_id, self._connections)
        self.resources.push_async_callback(identity.close)
        return identity

    @cached_property
    def _connections(self) -> "Connections":
        """The HTTP connections of the app, opened with the first request."""
        from shared.http import Connections

        return self.closed_with_app(Connections())

    def closed_with_app(self, resource: _Resource) -> _Resource:
        self.resources.push_async_callback(resource.aclose)
        return resource
