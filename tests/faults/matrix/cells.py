"""One cell: a new broker, one dependency with one fault, what the caller gets, and whether the broker recovers."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, Final

import aiohttp
import azure.functions as func
import pytest
from aiohttp import web

from collect_result.use_case import collect_result
from create_session.trigger import trigger as create_trigger
from get_result.trigger import trigger as get_trigger
from local.simulator import FaceSimulator
from revoke_session.trigger import trigger as revoke_trigger
from shared.app import App, build, install
from shared.queues.message import CollectMessage, Reason
from shared.settings import Settings
from shared.text import system_clock
from tests.faults.matrix.faults import FAULTS, Fault, Place, bomb, json_error, queue_error, table_error
from tests.faults.matrix.peers import Address, Network, Peer, network
from tests.shared.events.event_grid_server import FakeTopic
from tests.shared.keys.fake_azure import CANARY, FakeIdentity, FakeVault
from tests.support.azurite import Azurite
from tests.support.issuer import AUDIENCE, FakeIssuer

FACE_KEY: Final = f"{CANARY}-face-key"
LARGEST_TAKEN: Final = 20_000_000
"""Bytes of one answer that may be taken before the connection is closed."""

_AT_ONCE: Final = 12
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller got: a status, an error code or a short word, and the time it took in seconds."""

    status: int
    code: str
    seconds: float
    retry_after: str | None = None

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


@dataclass(frozen=True, slots=True)
class Cell:
    """The outcome of one target with one fault; `broken` has the promises that did not hold."""

    target: str
    fault: str
    told: Told
    broken: tuple[str, ...]
    replayed: bool = False

    def __str__(self) -> str:
        return (
            f"{self.target}, {self.fault}: {self.told} in {self.told.seconds:.1f} s; {'; '.join(self.broken)}"
        )


@dataclass
class World:
    """What all cells share: names, Azurite, Face, and one vault, identity and topic that are well."""

    net: Network
    azurite: Azurite
    face: FaceSimulator
    identity: FakeIdentity
    topic: FakeTopic
    backends: dict[str, Address]


@asynccontextmanager
async def world(azurite: Azurite) -> AsyncIterator[World]:
    """Start what all cells share."""
    # Packing takes a while: not while a deadline runs.
    bomb()
    async with AsyncExitStack() as resources:
        net = resources.enter_context(network())
        identity = FakeIdentity()
        vault = FakeVault(identity, secrets={"face-key": FACE_KEY, "id-pepper": f"{CANARY}-pepper"})
        topic = FakeTopic(identity)
        face = FaceSimulator(key=FACE_KEY)
        await face.start()
        resources.push_async_callback(face.stop)
        backends = {name: _address_of(azurite.endpoint(name)) for name in ("table", "queue")}
        backends["face"] = _address_of(face.url)
        for name, app in (("identity", identity.app()), ("vault", vault.app()), ("topic", topic.app())):
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            resources.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            backends[name] = runner.addresses[0][:2]
        yield World(net, azurite, face, identity, topic, backends)


@dataclass
class Scene:
    """One broker with dependencies under names of its own; `broken` has the promises that did not hold."""

    world: World
    number: int
    peers: dict[str, Peer]
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    issuer: FakeIssuer
    apps: list[App] = field(default_factory=list)
    signs_in: bool = False
    broken: list[str] = field(default_factory=list)

    def new_app(self) -> App:
        """A broker that has not made a call yet."""
        with pytest.MonkeyPatch.context() as patch:
            # The SDK reads these when the credential is made.
            for name, value in self.environment.items():
                patch.setenv(name, value)
            sign_in = {"CLIENT_AUTH": "jwt", "AUTH_ISSUER": self.issuer.url, "AUTH_AUDIENCE": AUDIENCE}
            app = build(Settings.from_mapping({**self.settings, **(sign_in if self.signs_in else {})}))
        self.apps.append(app)
        return app

    def name_of(self, peer: str) -> str:
        """The host name of a dependency."""
        return self.peers[peer].name[0]

    async def create(self, app: App, device: str = "device") -> tuple[Told, dict[str, Any]]:
        device_id = f"{device}-{self.number}"
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": device_id}
        request = self._request("POST", "/api/sessions", json.dumps(body).encode())
        return await _timed(app, create_trigger, request)

    async def create_when_well(self, app: App) -> tuple[Told, dict[str, Any]]:
        """Create as a phone does, which waits for `Retry-After`, and tries four times at most."""
        return await _until_well(lambda: self.create(app))

    async def read(self, app: App, session: Mapping[str, Any]) -> tuple[Told, dict[str, Any]]:
        return await _timed(app, get_trigger, self._of_session("GET", session))

    async def revoke(self, app: App, session: Mapping[str, Any]) -> tuple[Told, dict[str, Any]]:
        return await _timed(app, revoke_trigger, self._of_session("DELETE", session))

    async def perform(self, session: Mapping[str, Any]) -> None:
        """Make the check as the phone does."""
        headers = {"Authorization": f"Bearer {session['authToken']}"}
        async with (
            aiohttp.ClientSession() as phone,
            phone.post(f"{self.world.face.url}/simulator/perform", headers=headers, json={}) as answer,
        ):
            assert answer.status == 200, await answer.text()

    async def checked(self) -> dict[str, Any]:
        """A session whose check was made, by an app that is well."""
        session = await self.given()
        await self.perform(session)
        return session

    async def given(self) -> dict[str, Any]:
        """A session, by an app that is well."""
        told, session = await self.create_when_well(self.new_app())
        assert told.status == 200, (told, session)
        return session

    def stored_at_face(self) -> int:
        """The sessions of this scene that Face still has."""
        device = f"device-{self.number}"
        return sum(not one.deleted and one.device_id == device for one in self.world.face.sessions)

    def events(self, session_id: str) -> set[str]:
        """The ids of the events of a session that Event Grid took."""
        events = chain(*self.world.topic.batches)
        return {event["id"] for event in events if event["subject"] == session_id}

    def require(self, holds: bool, otherwise: str) -> None:
        """Note a promise that does not hold."""
        if not holds:
            self.broken.append(otherwise)

    def _of_session(self, method: str, session: Mapping[str, Any]) -> func.HttpRequest:
        path = f"/api/sessions/{session['sessionId']}"
        return self._request(method, path, headers={"x-session-token": str(session["authToken"])})

    def _request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> func.HttpRequest:
        fields = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        # All scenes share the tables, so that each needs an address of its own for the limits.
        fields["client-ip"] = f"198.18.{self.number >> 8}.{self.number & 255}:50000"
        if self.signs_in:
            fields["authorization"] = f"Bearer {self.issuer.token()}"
        url = f"http://127.0.0.1{path}"
        return func.HttpRequest(
            method, url, headers=fields, body=body, route_params={"sessionId": path.rpartition("/")[2]}
        )


@asynccontextmanager
async def scene(world: World, **others: str) -> AsyncIterator[Scene]:
    """Give each dependency a name of its own, and end all apps at the end; `others` are further settings."""
    number = next(_NUMBERS)
    storage = ("table", "queue")
    names: dict[str, Address] = {
        "face": (f"face-{number}.cognitiveservices.azure.com", 443),
        "vault": (f"kv-{number}.vault.azure.net", 443),
        "topic": (f"topic-{number}.westeurope-1.eventgrid.azure.net", 443),
        "identity": (f"identity-{number}.internal", 80),
        "issuer": (f"issuer-{number}.sign-in.internal", 443),
        **{service: (f"{service}-{number}.storage.internal", 443) for service in storage},
    }
    issuer = FakeIssuer(system_clock, url=f"https://{names['issuer'][0]}")
    await issuer.start()
    backends = {**world.backends, "issuer": ("127.0.0.1", issuer.port)}
    errors = {"table": table_error, "queue": queue_error}
    peers = {
        name: Peer(
            world.net, address, backends[name], tls=address[1] == 443, error_body=errors.get(name, json_error)
        )
        for name, address in names.items()
    }
    endpoints = ";".join(f"{name.capitalize()}Endpoint=https://{names[name][0]}/local" for name in storage)
    key = dict(part.split("=", 1) for part in world.azurite.connection_string.split(";"))["AccountKey"]
    settings = {
        "FACE_ENDPOINT": f"https://{names['face'][0]}",
        "FACE_MAX_TPS": "1000",
        "CLIENT_ADDRESS": "appservice",
        "KEY_VAULT_URL": f"https://{names['vault'][0]}",
        "EVENT_GRID_TOPIC_ENDPOINT": f"https://{names['topic'][0]}/api/events",
        "AzureWebJobsStorage": f"AccountName=local;AccountKey={key};{endpoints}",
        **others,
    }
    environment = {
        "IDENTITY_ENDPOINT": f"http://{names['identity'][0]}/msi/token",
        "IDENTITY_HEADER": world.identity.header,
    }
    made = Scene(world, number, peers, settings, environment, issuer)
    try:
        for peer in peers.values():
            await peer.start()
        yield made
    finally:
        for app in made.apps:
            await app.aclose()
        for peer in peers.values():
            await peer.stop()
        await issuer.stop()


async def _timed(
    app: App, trigger: Callable[[func.HttpRequest], Awaitable[func.HttpResponse]], request: func.HttpRequest
) -> tuple[Told, dict[str, Any]]:
    started = time.monotonic()
    # The trigger looks for its app before it waits for anything.
    install(app)
    response = await trigger(request)
    seconds = time.monotonic() - started
    text = response.get_body().decode()
    body = json.loads(text) if text else {}
    if response.status_code >= 400:
        assert CANARY not in text
    code = body.get("error", {}).get("code", "") if isinstance(body, dict) else ""
    return Told(response.status_code, code, seconds, response.headers.get("Retry-After")), body


def _address_of(url: str) -> Address:
    host, _, port = url.partition("://")[2].partition("/")[0].partition(":")
    return host, int(port)


Run = Callable[[Scene, Fault], Awaitable[Told]]


@dataclass(frozen=True, slots=True)
class Target:
    """One dependency in one operation, and what its callers are promised.

    `expected` are the answers to any fault but those in `others`; `seconds` is the longest time that an answer takes.
    """

    name: str
    peer: str
    run: Run
    seconds: float
    expected: frozenset[str]
    others: Mapping[str, frozenset[str]] = field(default_factory=dict)
    concerns: str = ""
    success: int = 200

    def faults(self) -> list[Fault]:
        """The faults that this target can have: the identity endpoint is reached without TLS."""
        return [fault for fault in FAULTS if not (self.peer == "identity" and fault.place is Place.STRANGER)]


async def run_target(azurite: Azurite, target: Target) -> list[Cell]:
    """Play all cells of a target, some at once: most of their time is waiting.

    A cell that breaks, or ends with an exception, is played once more, alone: on a busy machine a crowd can miss the
    deadlines of production.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    async with world(azurite) as shared:

        async def play(fault: Fault) -> Cell:
            async with gate:
                return await run_cell(shared, target, fault)

        cells = await asyncio.gather(*map(play, target.faults()), return_exceptions=True)
        return [
            replace(await run_cell(shared, target, fault), replayed=True)
            if isinstance(cell, BaseException) or cell.broken
            else cell
            for fault, cell in zip(target.faults(), cells, strict=True)
        ]


async def run_cell(world: World, target: Target, fault: Fault) -> Cell:
    """Play one cell, and compare it with what is promised."""
    async with scene(world) as made:
        peer = made.peers[target.peer]
        peer.concerns = target.concerns
        peer.success = target.success
        told = await target.run(made, fault)
        expected = target.others.get(fault.name, target.expected)
        made.require(str(told) in expected, f"answered {told}, not {' or '.join(sorted(expected))}")
        made.require(told.seconds <= target.seconds, f"took more than {target.seconds:.0f} s")
        made.require(told.status != 503 or told.retry_after is not None, "503 without Retry-After")
        made.require(peer.sent <= LARGEST_TAKEN, f"took {peer.sent} bytes")
        made.require(peer.hits > 0 or not fault.behave, "the fault was never met")
    return Cell(target.name, fault.name, told, tuple(made.broken))


async def _creates(made: Scene, fault: Fault, peer: str) -> Told:
    """A create while the dependency has the fault, then one after it."""
    app = made.new_app()
    await made.peers[peer].break_with(fault)
    told, _ = await made.create(app)
    await made.peers[peer].heal()
    again, _ = await made.create_when_well(app)
    made.require(again.status == 200, f"answered {again} after the fault")
    return told


async def _until_well(
    call: Callable[[], Awaitable[tuple[Told, dict[str, Any]]]],
    well: Callable[[Told, dict[str, Any]], bool] = lambda told, _: told.status < 500,
) -> tuple[Told, dict[str, Any]]:
    """Repeat a call as a phone does: after `Retry-After`, four times at most."""
    for _ in range(4):
        told, body = await call()
        if well(told, body):
            break
        await asyncio.sleep(min(float(told.retry_after or 1), 3.0))
    return told, body


async def _face_get(made: Scene, fault: Fault) -> Told:
    session, app = await made.checked(), made.new_app()
    await made.peers["face"].break_with(fault)
    told, body = await made.read(app, session)
    made.require(fault.name in WELL or not body.get("passed"), "a pass without Face's result")
    await made.peers["face"].heal()
    _, body = await _until_well(lambda: made.read(app, session), lambda _, body: body.get("passed") is True)
    made.require(body.get("passed") is True, f"no pass after the fault: {body}")
    return told


async def _face_delete(made: Scene, fault: Fault) -> Told:
    session, app = await made.given(), made.new_app()
    await made.peers["face"].break_with(fault)
    told, _ = await made.revoke(app, session)
    made.require(told.status != 204 or not made.stored_at_face(), "told as deleted, but Face has it")
    await made.peers["face"].heal()
    again, _ = await _until_well(lambda: made.revoke(app, session))
    made.require(again.status == 204 and not made.stored_at_face(), f"not deleted after the fault: {again}")
    return told


async def _issuer(made: Scene, fault: Fault) -> Told:
    made.signs_in = True
    return await _creates(made, fault, "issuer")


async def _table(made: Scene, fault: Fault) -> Told:
    session = await made.checked()
    told = await _creates(made, fault, "table")
    app = made.new_app()
    await made.peers["table"].break_with(fault)
    read, body = await made.read(app, session)
    refused = read.status == 503 and not body.get("passed")
    made.require(refused or fault.name in WELL, f"a read answered {read}")
    return told


async def _queue(made: Scene, fault: Fault) -> Told:
    told = await _creates(made, fault, "queue")
    # The create that failed was undone; the one after the fault stands.
    made.require(
        told.status == 200 or made.stored_at_face() == 1, f"Face has {made.stored_at_face()} sessions"
    )
    return told


async def _event_grid(made: Scene, fault: Fault) -> Told:
    session, app = await made.checked(), made.new_app()
    message = CollectMessage(session["sessionId"], Reason.SWEEP)
    await made.peers["topic"].break_with(fault)
    started = time.monotonic()
    await collect_result(app, message)
    seconds = time.monotonic() - started
    stored = await app.sessions.get(message.session_id)
    published = stored is not None and stored.record.published_at is not None
    taken = made.events(message.session_id)
    made.require(bool(taken) or not published, "told as published, but Event Grid has no event")
    await made.peers["topic"].heal()
    await collect_result(app, message)
    made.require(len(made.events(message.session_id)) == 1, "not one event after the fault")
    return Told(200 if published else 0, "published" if published else "put back", seconds)


WELL: Final = ("slow answer",)
_GOOD: Final = {"slow answer": frozenset({"200"})}
_FACE_FAILS: Final = frozenset({"502 UpstreamFailure", "504 UpstreamTimeout"})
_FACE_OTHERS: Final = {
    "401": frozenset({"502 UpstreamUnauthorized"}),
    "403 quota": frozenset({"503 UpstreamQuotaExceeded"}),
    "429 with header": frozenset({"503 UpstreamThrottled"}),
    "429 in prose": frozenset({"503 UpstreamThrottled"}),
    "503 until a date": frozenset({"503 UpstreamThrottled"}),
}
# A poll gets what is known while Face has no room.
_BUSY_READ: Final = {
    fault: frozenset({"200"}) for fault in ("429 with header", "429 in prose", "503 until a date")
}
_STORE_FAILS: Final = frozenset({"503 StorageUnavailable"})
_KEY_FAILS: Final = frozenset({"503 KeyUnavailable"})

TARGETS: Final = (
    Target(
        "Face, create",
        "face",
        partial(_creates, peer="face"),
        10,
        _FACE_FAILS,
        {**_FACE_OTHERS, **_GOOD},
        r"^POST ",
    ),
    Target(
        "Face, read", "face", _face_get, 6, _FACE_FAILS, {**_FACE_OTHERS, **_BUSY_READ, **_GOOD}, r"^GET "
    ),
    Target(
        "Face, delete",
        "face",
        _face_delete,
        6,
        _FACE_FAILS,
        {**_FACE_OTHERS, "slow answer": frozenset({"204"})},
        r"^DELETE ",
    ),
    Target("Key Vault", "vault", partial(_creates, peer="vault"), 10, _KEY_FAILS, _GOOD),
    Target("Identity", "identity", partial(_creates, peer="identity"), 10, _KEY_FAILS, _GOOD),
    Target("Issuer", "issuer", _issuer, 10, _KEY_FAILS, _GOOD),
    Target("Table", "table", _table, 10, _STORE_FAILS, _GOOD),
    Target("Queue", "queue", _queue, 10, _STORE_FAILS, _GOOD, r"^POST ", 201),
    Target(
        "Event Grid",
        "topic",
        _event_grid,
        13,
        frozenset({"0 put back"}),
        {"slow answer": frozenset({"200 published"})},
    ),
)
