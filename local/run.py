"""The commands of `python -m local`: `run`, `serve` and `simulator`. Each returns whether all went well."""

import asyncio
import errno
import logging
import os
import secrets
import shlex
import signal
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from aiohttp.http_exceptions import HttpProcessingError

from local.api_page import api_page_routes
from local.azurite import HOW_TO_GET_IT, AzuriteProcess, find_azurite
from local.broker import FUNCTION_KEY, read_host_json, running_broker
from local.console.routes import console_routes
from local.demonstration import REFERENCE, Tokens, demonstrate
from local.event_log import Event, EventLog
from local.host import Host
from local.host_json import QueueOptions
from local.issuer import AUDIENCE, LocalIssuer
from local.operator_view import OperatorsShell, OperatorView, RecentLog
from local.queues import message_source
from local.sandbox import SandboxBudget
from local.simulator import FaceSimulator
from local.webhook import WebhookPublisher
from shared.access import OPERATE
from shared.app import App, build, install
from shared.errors import SettingsError
from shared.face.budget import Budget
from shared.release import RELEASE
from shared.settings import Settings

_EVENTS_FILE = ".local/events.jsonl"
_PEPPER = "local-pepper"
_MAX_PORT = 65_535
_CHOOSE_BROKER_PORT = "--port, or `make run PORT=...`"
_CHOOSE_SIMULATOR_PORT = "--simulator-port, or `make run SIMULATOR_PORT=...`"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The ports, the storage (`memory` or `azurite`), and whether to end after the demonstration.

    With `auth` `jwt` callers have to sign in, with tokens of an issuer at the port after the simulator's. `face_tps` is
    the simulator's limit of calls in a second. Events also go to the URL `events_webhook`, of this machine.
    """

    port: int
    simulator_port: int
    storage: str
    once: bool
    auth: str = "none"
    face_tps: float | None = None
    events_webhook: str | None = None


async def exit_status(command: Awaitable[bool]) -> int:
    """Run a command; prints an error of settings, ports or files to stderr, without a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("aiohttp.server").addFilter(_is_not_about_malformed_http)
    try:
        return 0 if await command else 1
    except SettingsError as error:
        print(*error.lines, sep="\n", file=sys.stderr)
    except BrokenPipeError:
        # Python writes what is left in its buffer when it ends, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("Ended: nobody reads the output any more.", file=sys.stderr)
    except OSError as error:
        print(error, file=sys.stderr)
    return 1


@contextmanager
def _listening_on(port: int, how_to_choose: str) -> Iterator[None]:
    """Raise `SettingsError` where the block cannot listen on the port."""
    choose = f"Choose another one: {how_to_choose}."
    if not 0 <= port <= _MAX_PORT:
        raise SettingsError([f"Cannot listen on port {port}: ports go from 0 to {_MAX_PORT}. {choose}"])
    try:
        yield
    except OSError as error:
        why = {
            errno.EADDRINUSE: "it is in use",
            errno.EACCES: "this user may not use it, as most ports below 1024",
        }.get(error.errno or 0, error.strerror)
        raise SettingsError([f"Cannot listen on port {port}: {why}. {choose}"]) from error


def _is_not_about_malformed_http(record: logging.LogRecord) -> bool:
    # The sender of malformed HTTP gets a 400. That is not our fault, and needs no traceback.
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


async def run(options: RunOptions) -> bool:
    """Start simulator and broker, demonstrate a check, and wait for Ctrl-C."""
    ended = _end_signal()
    async with _running(options) as running:
        running.introduce()
        passed = not running.simulated or await _demonstrated(running, ended)
        if not options.once and not ended.is_set():
            running.invite()
            running.events.follower = partial(_print_event, ended)
            await ended.wait()
        if ended.is_set():
            print("\nEnding.")
    return passed


def _end_signal() -> asyncio.Event:
    """An event that Ctrl-C, a request to end, and a closed terminal set."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        # Windows has no SIGHUP, and its event loops take no handlers.
        if number := getattr(signal, name, None):
            try:
                loop.add_signal_handler(number, ended.set)
            except NotImplementedError:
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))
    return ended


@dataclass(frozen=True, slots=True)
class _Running:
    """The parts of a run; `own_azurite` is the connection string of its own Azurite."""

    broker: Host
    simulator_url: str
    settings: Settings
    events: EventLog
    events_webhook: str | None
    own_azurite: str | None
    issuer: LocalIssuer | None
    operator: OperatorsShell | None

    @property
    def simulated(self) -> bool:
        """Whether Face is the simulator. The environment may name the real one."""
        return self.settings.face_url == self.simulator_url

    def introduce(self) -> None:
        """Print where everything is."""
        settings = self.settings
        face = f"  Face       {settings.face_url} (the real one, {settings.face_api_version})"
        if self.simulated:
            face = f"  simulator  {self.simulator_url} (in place of Azure Face, {settings.face_api_version})"
        state = "in memory; lost when this ends"
        if self.own_azurite:
            state = "in Azurite's tables and queue, as in Azure; lost when this ends"
        elif settings.storage_connection:
            state = "in the storage account of AzureWebJobsStorage"
        events = f"one JSON line each, added to {settings.events_file}"
        if settings.event_grid_topic_endpoint:
            events = f"sent to {settings.event_grid_topic_endpoint}"
        print("Face Liveness Broker, on this machine only\n")
        print(f"  broker     {self.broker.url}/api\n{face}")
        print(f"  state      {state}\n  events     {events}")
        if self.events_webhook:
            print(f"             and sent to {self.events_webhook}")
        if self.issuer:
            print(f"  callers    sign in with tokens of {self.issuer.url}")
        print()

    def invite(self) -> None:
        """Print what a user can do now."""
        # Other users of a machine see the arguments of its processes, but not what a shell's own `echo` writes.
        url, keys = self.broker.url, "echo 'x-functions-key: {}' | curl -sw '\\n' -H @-"
        purge = f"-d '{{}}' -H 'Content-Type: application/json' {url}/admin/functions/purge_expired"
        print("\nBroker and simulator stay up.")
        print(f"  console    {url}/console\n  API        {url}/docs")
        print(f"  readiness  {keys.format(self.broker.function_key)} {url}/api/ready")
        print(f"  deletion   {keys.format(self.broker.master_key)} {purge}")
        print("             deletes expired rows now; in Azure a timer does so each hour")
        if self.own_azurite and self.operator:
            print(f"  operator   {self.operator.settings}\n             {self.operator.ops} drill")
            print("             makes a bad night to try the commands of docs/operations.md on")
        if self.issuer:
            print(*self.issuer.introduction(), sep="\n")
        if self.simulated:
            move = "-H 'Content-Type: application/json' -d '{\"seconds\": 900}'"
            print(f"  clock      curl -sw '\\n' {move} {self.simulator_url}/simulator/clock")
            print("             lets 15 minutes pass at once, for the broker too: sessions end")
        print("  outcomes   docs/simulator.md lists the device ids that choose an outcome")
        print("  events     appear here and in the console when a session ends")
        print("Press Ctrl-C to end.", flush=True)


@asynccontextmanager
async def _running(options: RunOptions) -> AsyncIterator[_Running]:
    async with AsyncExitStack() as resources:
        key = os.environ.get("FACE_KEY") or secrets.token_hex(16)
        simulator = FaceSimulator(key=key, tps=options.face_tps)
        with _listening_on(options.simulator_port, _CHOOSE_SIMULATOR_PORT):
            await simulator.start(port=options.simulator_port)
        resources.push_async_callback(simulator.stop)
        if not (os.environ.get("FACE_REGION") or os.environ.get("FACE_ENDPOINT")):
            _set_defaults({"FACE_ENDPOINT": simulator.url, "FACE_KEY": key})
        issuer = None
        if options.auth == "jwt":
            issuer = LocalIssuer(simulator.clock)
            issuer_port = options.simulator_port and options.simulator_port + 1
            with _listening_on(issuer_port, _CHOOSE_SIMULATOR_PORT):
                await issuer.start(issuer_port)
            resources.push_async_callback(issuer.stop)
            auth = {"CLIENT_AUTH": "jwt", "AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE}
            os.environ |= auth | {"CLIENT_REFERENCE": "token"}
        connection = None
        if options.storage == "azurite":
            if (program := find_azurite()) is None:
                raise SettingsError([HOW_TO_GET_IT])
            connection = resources.enter_context(AzuriteProcess(program)).connection_string
            _set_defaults({"AzureWebJobsStorage": connection, "ID_PEPPER": _PEPPER})
        if not os.environ.get("EVENTS_FILE"):
            Path(_EVENTS_FILE).parent.mkdir(exist_ok=True)
        _set_defaults({"EVENTS_FILE": _EVENTS_FILE})
        settings = Settings.from_environment()
        if settings.events_file and not Path(settings.events_file).parent.is_dir():
            raise SettingsError(["EVENTS_FILE: expected a file in a folder that exists"])
        is_simulated = settings.face_url == simulator.url
        app, budget = _build(settings, simulator if is_simulated else None)
        publisher = app.publisher
        if options.events_webhook:
            publisher = WebhookPublisher(publisher, options.events_webhook)
        events = EventLog(publisher)
        app = replace(app, publisher=events)
        install(app)
        # The environment may name another account. Its own key must not be shown, and a key that everybody knows must
        # not open its sessions.
        stored_in = settings.storage_connection and settings.storage_connection.reveal()
        sandbox = is_simulated and stored_in in (None, connection)
        own_azurite = connection if stored_in == connection else None
        operator = _operators_shell(settings, own_azurite)
        source = message_source(app)
        log = resources.enter_context(RecentLog(app.clock))
        routes = console_routes(
            simulator.url,
            events.latest,
            {
                "release": _release(),
                "faceVersion": settings.face_api_version,
                "simulated": is_simulated,
            },
            OperatorView(
                app,
                source,
                budget,
                log,
                deliveries=QueueOptions.parse(read_host_json()).max_dequeue_count,
                shell=operator,
            ),
            issuer.answer_token if issuer else None,
        )
        with _listening_on(options.port, _CHOOSE_BROKER_PORT):
            broker = await resources.enter_async_context(
                running_broker(
                    options.port,
                    [*routes, *api_page_routes(simulator.url)],
                    function_key=FUNCTION_KEY if sandbox else None,
                    source=source,
                )
            )
        yield _Running(
            broker, simulator.url, settings, events, options.events_webhook, own_azurite, issuer, operator
        )


def _operators_shell(settings: Settings, own_azurite: str | None) -> OperatorsShell | None:
    """How `ops` works on what this broker works on; None where that is in memory."""
    if settings.storage_connection is None:
        return None
    program = Path(sys.executable)
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    exports = ""
    if own_azurite:
        named = {
            "AzureWebJobsStorage": own_azurite,
            "EVENTS_FILE": str(Path(settings.events_file or "").resolve()),
        }
        if settings.id_pepper and settings.id_pepper.reveal() == _PEPPER:
            named["ID_PEPPER"] = _PEPPER
        exports = " ".join(["export", *(f"{name}={shlex.quote(value)}" for name, value in named.items())])
    return OperatorsShell(exports, f"{shlex.quote(str(program))} -m ops")


def _build(settings: Settings, simulator: FaceSimulator | None) -> tuple[App, Budget]:
    """Build the app, and its budget for Face.

    Where Face is the simulator, both have one clock, and magic ids slow no other session down.
    """
    if simulator is None:
        budget = Budget(settings.face_max_tps)
        return build(settings, budget=budget), budget
    budget = SandboxBudget(settings.face_max_tps, lambda: simulator.throttled)
    return build(settings, clock=simulator.clock, budget=budget), budget


def _release() -> str:
    """The release of the package; that of a working directory is the next one."""
    if RELEASE.version:
        return f"{RELEASE.version}, commit {RELEASE.commit}"
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    return f"{project['project']['version']}, working directory"


def _set_defaults(settings: Mapping[str, str]) -> None:
    """Set what the environment does not: `FACE_API_VERSION=v1.2 make run` is respected."""
    for name, value in settings.items():
        # An empty setting counts as missing, as for the broker.
        os.environ[name] = os.environ.get(name) or value


async def _demonstrated(running: _Running, ended: asyncio.Event) -> bool:
    """Whether the demonstration went well; false if the user ended it."""
    tokens = None
    if issuer := running.issuer:
        tokens = Tokens(
            person=issuer.token("anna"),
            grant=issuer.token("anna", client_reference=REFERENCE),
            server=issuer.token("shop", roles=[OPERATE]),
        )
    demonstration = asyncio.create_task(
        demonstrate(running.broker.url, running.simulator_url, running.events, tokens)
    )
    end = asyncio.create_task(ended.wait())
    await asyncio.wait((demonstration, end), return_when=asyncio.FIRST_COMPLETED)
    for task in (demonstration, end):
        task.cancel()
    await asyncio.wait((demonstration, end))
    return not demonstration.cancelled() and demonstration.result()


def _print_event(ended: asyncio.Event, event: Event) -> None:
    data = event["data"]
    passed = "passed" if data["passed"] else "not passed"
    reference = data["clientReference"] or ""
    try:
        print(f"  event      {event['type']} {event['subject']} {passed} {reference}", flush=True)
    except BrokenPipeError:
        # The event itself is published, so its function must not fail.
        ended.set()


async def serve(port: int) -> bool:
    """Serve the broker alone until Ctrl-C, with the settings of the environment; prints its URL as the first line."""
    ended = _end_signal()
    async with AsyncExitStack() as resources:
        with _listening_on(port, "--port"):
            broker = await resources.enter_async_context(running_broker(port))
        print(broker.url, flush=True)
        await ended.wait()
    return True


async def simulate(port: int, face_tps: float | None = None) -> bool:
    """Serve the Face simulator alone until Ctrl-C, with the key `FACE_KEY`; prints its URL as the first line.

    `face_tps` is its limit of calls in a second.
    """
    if not (key := os.environ.get("FACE_KEY")):
        raise SettingsError(["FACE_KEY: expected the key that the broker calls with"])
    ended = _end_signal()
    simulator = FaceSimulator(key=key, tps=face_tps)
    with _listening_on(port, "--port"):
        await simulator.start(port=port)
    print(simulator.url, flush=True)
    await ended.wait()
    await simulator.stop()
    return True
