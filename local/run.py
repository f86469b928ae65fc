"""`make run`: simulator and broker on this machine, one demonstration check, and then they stay up."""

import asyncio
import logging
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from aiohttp.http_exceptions import HttpProcessingError

from local.azurite import HOW_TO_GET_IT, AzuriteProcess, find_azurite
from local.broker import LocalBroker, running_broker
from local.console import console_routes
from local.demonstration import demonstrate
from local.event_log import Event, EventLog
from local.simulator import FaceSimulator
from shared.app import build, install
from shared.errors import SettingsError
from shared.settings import Settings

_EVENTS_FILE = ".local/events.jsonl"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where to listen, where state is kept, and whether to end after the demonstration."""

    port: int
    simulator_port: int
    storage: str
    once: bool


@dataclass(frozen=True, slots=True)
class Running:
    """What was started; `azurite` is the connection string of that, where it is used."""

    broker: LocalBroker
    simulator_url: str
    settings: Settings
    events: EventLog
    azurite: str | None

    @property
    def simulated(self) -> bool:
        """Whether Face is the simulator, rather than what the environment names."""
        return self.settings.endpoint.base_url == self.simulator_url


async def run(options: RunOptions) -> int:
    """Start everything, show a check, and wait for Ctrl-C; returns the exit status."""
    return await _reporting(_run(options))


async def serve(port: int, *, lease_seconds: float | None = None) -> int:
    """Serve the broker alone, as the environment sets it up, until Ctrl-C; prints its URL as the first line.

    It takes messages of the queue as well, each for `lease_seconds` (None: as long as the real host does it).
    """
    return await _reporting(_serve(port, lease_seconds))


async def simulate(port: int) -> int:
    """Serve the Face simulator alone until Ctrl-C, for a broker that runs elsewhere; prints its URL first.

    It takes the key in `FACE_KEY`, as that broker does.
    """
    return await _reporting(_simulate(port))


async def _run(options: RunOptions) -> bool:
    ended = _ended_by_signal()
    async with _started(options) as running:
        _introduce(running, options.storage)
        passed = not running.simulated or await _demonstrated(running, ended)
        if not options.once and not ended.is_set():
            _invite(running)
            running.events.follow(_announce)
            await ended.wait()
        if ended.is_set():
            print("\nEnding.")
    return passed


async def _demonstrated(running: Running, ended: asyncio.Event) -> bool:
    """Whether the demonstration went well; one that is cut short did not."""
    demonstration = asyncio.create_task(
        demonstrate(running.broker.url, running.simulator_url, running.events)
    )
    cut_short = asyncio.create_task(ended.wait())
    await asyncio.wait((demonstration, cut_short), return_when=asyncio.FIRST_COMPLETED)
    for task in (demonstration, cut_short):
        task.cancel()
    await asyncio.wait((demonstration, cut_short))
    return not demonstration.cancelled() and demonstration.result()


async def _serve(port: int, lease_seconds: float | None) -> bool:
    ended = _ended_by_signal()
    async with running_broker(port, lease_seconds=lease_seconds) as broker:
        print(broker.url, flush=True)
        await ended.wait()
    return True


async def _simulate(port: int) -> bool:
    if not (key := os.environ.get("FACE_KEY")):
        raise SettingsError(["FACE_KEY: expected the key that the broker calls with"])
    ended = _ended_by_signal()
    simulator = FaceSimulator(key=key)
    await simulator.start(port=port)
    print(simulator.url, flush=True)
    await ended.wait()
    await simulator.stop()
    return True


async def _reporting(work: Awaitable[bool]) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("aiohttp.server").addFilter(_is_no_malformed_request)
    try:
        return 0 if await work else 1
    except SettingsError as error:
        print(*error.lines, sep="\n", file=sys.stderr)
    except OSError as error:
        print(
            f"Cannot listen: {error.strerror}. "
            "Choose other ports: `make run PORT=... SIMULATOR_PORT=...`, or --port and --simulator-port.",
            file=sys.stderr,
        )
    return 1


def _is_no_malformed_request(record: logging.LogRecord) -> bool:
    # What is no HTTP is answered with a 400: its sender's trouble, and no fault to be shown with a traceback.
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _ended_by_signal() -> asyncio.Event:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    # SIGHUP: the terminal was closed, and what was started has to end as well.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    return ended


@asynccontextmanager
async def _started(options: RunOptions) -> AsyncIterator[Running]:
    async with AsyncExitStack() as resources:
        key = os.environ.get("FACE_KEY") or secrets.token_hex(16)
        simulator = FaceSimulator(key=key)
        await simulator.start(port=options.simulator_port)
        resources.push_async_callback(simulator.stop)
        if not (os.environ.get("FACE_REGION") or os.environ.get("FACE_ENDPOINT")):
            _set_environment({"FACE_ENDPOINT": simulator.url, "FACE_KEY": key})
        connection = None
        if options.storage == "azurite":
            connection = resources.enter_context(_azurite()).connection_string
            _set_environment({"AzureWebJobsStorage": connection, "ID_PEPPER": key})
        _set_environment({"EVENTS_FILE": _EVENTS_FILE})
        settings = Settings.from_environment()
        events = _install_app(settings)
        broker = await resources.enter_async_context(
            running_broker(options.port, console_routes(simulator.url, events=events.latest))
        )
        # The environment may have named an account of its own, whose key is not for anybody to see.
        used = settings.storage_connection and settings.storage_connection.reveal() == connection
        yield Running(broker, simulator.url, settings, events, connection if used else None)


def _install_app(settings: Settings) -> EventLog:
    """Build the app that the functions find, and listen in on its events."""
    app = build(settings)
    events = EventLog(app.publisher)
    install(replace(app, publisher=events))
    return events


def _azurite() -> AzuriteProcess:
    program = find_azurite()
    if program is None:
        raise SettingsError([HOW_TO_GET_IT])
    return AzuriteProcess(program)


def _set_environment(settings: Mapping[str, str]) -> None:
    """Fill in what the environment leaves open: `FACE_API_VERSION=v1.2 make run` keeps its word."""
    for name, value in settings.items():
        # An empty one counts as not set, as for the broker.
        os.environ[name] = os.environ.get(name) or value


def _introduce(running: Running, storage: str) -> None:
    settings = running.settings
    print("Face Liveness Broker, on this machine only\n")
    print(f"  broker     {running.broker.url}/api")
    if running.simulated:
        print(f"  simulator  {running.simulator_url} (stands in for Azure Face, {settings.face_api_version})")
    else:
        print(f"  Face       {settings.endpoint.base_url} (the real one, {settings.face_api_version})")
    if storage == "azurite":
        print("  state      in Azurite's tables and queue, as in Azure: it is gone when this ends")
    else:
        print("  state      in memory: it is gone when this ends")
    print(f"  events     {_events_go_to(settings)}\n")


def _invite(running: Running) -> None:
    url, key, master_key = running.broker.url, running.broker.function_key, running.broker.master_key
    purge = f"-H 'x-functions-key: {master_key}' {url}/admin/functions/purge_expired"
    print("\nBoth stay up now.")
    print(f"  console    {url}/console")
    print(f"  readiness  curl -H 'x-functions-key: {key}' {url}/api/ready")
    print(f"  deletion   curl -d '{{}}' -H 'Content-Type: application/json' {purge}")
    print("             deletes what has expired now, as a timer does each hour in Azure")
    if running.azurite:
        print(f"  operator   AzureWebJobsStorage='{running.azurite}' {sys.executable} -m ops poison list")
    print("  outcomes   docs/simulator.md lists the device ids that choose one")
    print("  events     come here and to the console, as each session ends")
    print("Ctrl-C ends them.", flush=True)


def _events_go_to(settings: Settings) -> str:
    if settings.event_grid_topic_endpoint:
        return f"to {settings.event_grid_topic_endpoint}"
    return f"added to {settings.events_file}, a line each: those of earlier runs stay"


def _announce(event: Event) -> None:
    data = event["data"]
    passed = "passed" if data["passed"] else "not passed"
    print(
        f"  event      {event['type']} {event['subject']} {passed} {data['clientReference'] or ''}",
        flush=True,
    )
