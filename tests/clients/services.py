"""What the tests of the clients run against, and the programs that they need."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from local.simulator import FaceSimulator
from tests.support.broker import FACE_KEY, environment
from tests.support.processes import running_processes


@dataclass(frozen=True, slots=True)
class Services:
    """The URLs of broker and simulator."""

    broker: str
    simulator: str


@asynccontextmanager
async def services(**settings: str) -> AsyncIterator[Services]:
    """Run both, without limits for this machine."""
    simulator = FaceSimulator(key=FACE_KEY)
    await simulator.start()
    try:
        mapping = environment(simulator.url, THROTTLE_CLIENT="off", **settings)
        async with running_processes(1, mapping) as [client]:
            yield Services(str(client.base_url), simulator.url)
    finally:
        await simulator.stop()


def program(*names: str) -> str:
    """Find a program. Without it the test is skipped, or fails in CI."""
    found = next(filter(None, map(shutil.which, names)), None)
    return found or missing(f"{names[0]} is not installed.")


def browser(profile: Path) -> tuple[str, ...]:
    """The command of Chromium without a window, with a folder of its own for what it stores."""
    chromium = program("chromium", "chromium-browser", "google-chrome")
    return (chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}")


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it in CI."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(what)
