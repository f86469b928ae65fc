"""Azurite, a Face simulator, and a broker in a process of its own, which can be killed and started again."""

import asyncio
import json
import os
import secrets
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from local.azurite import running_azurite
from local.simulator import FaceSimulator
from shared.sessions.store import unverified
from shared.storage.account import StorageAccount
from shared.storage.port import Table
from shared.text import LATEST

_ROOT: Final = Path(__file__).parents[2]
_START_SECONDS: Final = 60
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class World:
    """What a broker works with; `http` calls it as phones do, `phone` is the simulated Vision SDK."""

    def __init__(
        self, account: StorageAccount, simulator: FaceSimulator, settings: dict[str, str], folder: Path
    ) -> None:
        self.account = account
        self.simulator = simulator
        self.settings = settings
        self.http = httpx.AsyncClient(trust_env=False, timeout=30, limits=httpx.Limits())
        self.phone = httpx.AsyncClient(base_url=simulator.url, trust_env=False, timeout=30)
        self._process: Process | None = None
        self._port = 0
        self._events = folder / "events.jsonl"
        self._log = folder / "broker.log"

    async def start(self) -> None:
        """Start the broker, at the same port each time."""
        command = (sys.executable, "-m", "tests.soak.broker", str(self._port))
        settings = self.settings | {"EVENTS_FILE": str(self._events)}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=_ROOT, env=settings, stdout=PIPE, stderr=log
            )
        assert self._process.stdout
        async with asyncio.timeout(_START_SECONDS):
            url = (await self._process.stdout.readline()).decode().strip()
        if not url:
            raise RuntimeError(f"the broker did not start: {self._log.read_text()[-2000:]}")
        self._port = urlsplit(url).port or 0
        self.http.base_url = httpx.URL(url)

    async def kill(self) -> None:
        """Kill the broker, as `kill -9` does."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def aclose(self) -> None:
        """End everything."""
        await self.kill()
        await self.http.aclose()
        await self.phone.aclose()

    @property
    def memory(self) -> float:
        """The broker's resident memory in MB."""
        assert self._process
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * _PAGE_BYTES / 1e6

    @property
    def face_calls(self) -> int:
        """The calls that Face got from the broker."""
        return sum(self.simulator.calls.values())

    @property
    def faults(self) -> int:
        """The faults in the broker's own code, and the failures of dependencies, in its log."""
        log = self._log.read_text(errors="replace")
        return log.count('"internal_error"') + log.count('"dependency_failed"')

    @property
    def left_at_face(self) -> int:
        """The sessions that Face still has."""
        return sum(not session.deleted for session in self.simulator.sessions)

    def log_tail(self) -> str:
        """The end of the broker's log."""
        return self._log.read_text(errors="replace")[-3_000:]

    def events(self) -> Counter[str]:
        """The events by session; a process that was killed may have left a part of a line."""
        found: Counter[str] = Counter()
        for line in self._events.read_text().splitlines() if self._events.exists() else []:
            if line.startswith("{") and line.endswith("}"):
                found[json.loads(line)["subject"]] += 1
        return found

    async def without_event(self) -> tuple[int, set[str]]:
        """The number of sessions with a record, and those of them that must have an event and have none."""
        store = self.account.open_tables(deadline=30)
        try:
            rows = [row async for row in store.expired(Table.SESSIONS, LATEST)]
        finally:
            await store.aclose()
        records = [unverified(row).record for row in rows if row.key != "check"]
        events = self.events()
        return len(records), {
            record.session_id
            for record in records
            if record.owes_event or (record.published_at is not None and not events[record.session_id])
        }

    async def settle(self, patience_seconds: float) -> tuple[int, set[str]]:
        """Wait until each session has its event; returns what is left when patience ends."""
        end = asyncio.get_running_loop().time() + patience_seconds
        while True:
            count, left = await self.without_event()
            if not left or asyncio.get_running_loop().time() > end:
                return count, left
            await asyncio.sleep(5)


@asynccontextmanager
async def running_world(**settings: str) -> AsyncIterator[World]:
    """Start everything on free ports of loopback, and end it."""
    with running_azurite() as azurite, tempfile.TemporaryDirectory() as folder:
        key = secrets.token_hex(16)
        simulator = FaceSimulator(key=key)
        await simulator.start()
        environment = {
            "FACE_ENDPOINT": simulator.url,
            "FACE_KEY": key,
            "ID_PEPPER": key,
            "AzureWebJobsStorage": azurite.connection_string,
        }
        world = World(azurite.account, simulator, environment | settings, Path(folder))
        try:
            await world.start()
            yield world
        finally:
            await world.aclose()
            await simulator.stop()
