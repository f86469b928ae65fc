"""`make run`: simulator and broker on this machine, one demonstration check, and then they stay up."""

import asyncio
import json
import logging
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from local.console import console_routes
from local.demonstration import demonstrate
from local.host import Host
from local.simulator import FaceSimulator
from shared.errors import SettingsError
from shared.settings import Settings

_ROOT = Path(__file__).parents[1]
_BODY_LIMIT = 65_536


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where to listen, and whether to end after the demonstration."""

    port: int
    simulator_port: int
    once: bool


@dataclass(frozen=True, slots=True)
class Running:
    """What was started."""

    broker_url: str
    simulator_url: str
    function_key: str
    settings: Settings

    @property
    def simulated(self) -> bool:
        """Whether Face is the simulator, rather than what the environment names."""
        return self.settings.endpoint.base_url == self.simulator_url


async def run(options: RunOptions) -> int:
    """Start everything, show a check, and wait for Ctrl-C; returns the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    ended = _ended_by_signal()
    try:
        async with _started(options) as running:
            _introduce(running)
            passed = not running.simulated or await demonstrate(running.broker_url, running.simulator_url)
            if not options.once:
                _invite(running)
                await ended.wait()
                print("\nEnding.")
    except SettingsError as error:
        print(*error.lines, sep="\n", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"Cannot listen: {error.strerror}. Choose others with --port and --simulator-port.",
            file=sys.stderr,
        )
        return 1
    return 0 if passed else 1


def _ended_by_signal() -> asyncio.Event:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    return ended


@asynccontextmanager
async def _started(options: RunOptions) -> AsyncIterator[Running]:
    key = secrets.token_hex(16)
    simulator = FaceSimulator(key=key)
    await simulator.start(port=options.simulator_port)
    try:
        _set_environment(simulator.url, key)
        settings = Settings.from_environment()
        # Only now: the app reads its settings when it is imported, as it does in Azure.
        from function_app import app
        from shared.bootstrap import current_app

        function_key = secrets.token_urlsafe(16)
        host = Host(
            app,
            json.loads((_ROOT / "host.json").read_text()),
            function_key=function_key,
            master_key=secrets.token_urlsafe(16),
            body_limit=_BODY_LIMIT,
            extra_routes=console_routes(simulator.url),
        )
        await host.start(port=options.port)
        try:
            yield Running(host.url, simulator.url, function_key, settings)
        finally:
            await host.stop()
            await current_app().aclose()
    finally:
        await simulator.stop()


def _set_environment(simulator_url: str, key: str) -> None:
    """Fill in what the environment leaves open; `FACE_API_VERSION=v1.2 make run` keeps its word."""
    if "FACE_REGION" not in os.environ and "FACE_ENDPOINT" not in os.environ:
        os.environ["FACE_ENDPOINT"] = simulator_url
        os.environ["FACE_KEY"] = key


def _introduce(running: Running) -> None:
    settings = running.settings
    print("Face Liveness Broker, on this machine only\n")
    print(f"  broker     {running.broker_url}/api")
    if running.simulated:
        print(f"  simulator  {running.simulator_url} (stands in for Azure Face, {settings.face_api_version})")
    else:
        print(f"  Face       {settings.endpoint.base_url} (the real one, {settings.face_api_version})")
    print("  state      in memory: it is gone when this ends\n")


def _invite(running: Running) -> None:
    print("\nBoth stay up now.")
    print(f"  console    {running.broker_url}/console")
    print(f"  readiness  curl -H 'x-functions-key: {running.function_key}' {running.broker_url}/api/ready")
    print("  outcomes   docs/simulator.md lists the device ids that choose one")
    print("Ctrl-C ends them.", flush=True)
