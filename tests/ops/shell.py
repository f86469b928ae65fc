"""An operator's shell: the commands over a storage account in memory."""

import asyncio
import json
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from ops.command_line import main
from ops.connections import Connections
from ops.poison_queue import MOST_PEEKED, Handle, PoisonMessage, PoisonQueue
from shared.face.model import LivenessDecision, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import MemoryQueue
from shared.sessions.record import SessionRecord
from shared.sessions.store import Sessions
from shared.settings import Settings
from shared.storage.port import Table, Value
from tests.support.app import PSEUDONYMS
from tests.support.broker import PEPPER
from tests.support.queue import FakeQueue
from tests.support.store import FakeStore
from tests.support.time import FakeClock

RETENTION_DAYS: Final = 17
TOKEN_HASH: Final = "d0" * 32
TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ENDED_AT: Final = 1_790_000_000_000
FORGED: Final = (
    "a session record does not fit its MAC: it was changed by hand, or the pepper was; "
    "see A record that was changed in docs/operations.md"
)
UNKNOWN: Final = "00000000-0000-4000-8000-000000000000"
OPEN: Final[Mapping[str, Any]] = {
    "status": SessionStatus.STARTED,
    "decision": None,
    "digest": None,
    "completed_at": None,
    "published_at": None,
}
"""The fields of a session that has not ended."""

_TARGET: Final = ("ops: storage account ", "ops: broker ", "ops: subscription ")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; `target` is the line that names what it touches."""

    status: int
    lines: Sequence[str]
    errors: Sequence[str]
    target: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What it wrote with `--json`."""
        return [json.loads(line) for line in self.lines]


@dataclass
class FakePoisonQueue(PoisonQueue):
    """The poison queue in a list."""

    messages: list[PoisonMessage] = field(default_factory=list)

    def add(self, raw: str) -> str:
        """Put a message there as the host does; returns its id."""
        message = PoisonMessage.read(ENDED_AT, raw)
        self.messages.append(message)
        return message.message_id

    async def count(self) -> int:
        return len(self.messages)

    async def peek(self) -> list[PoisonMessage]:
        return self.messages[:MOST_PEEKED]

    async def take_each(self, handle: Handle) -> None:
        for message in list(self.messages):
            if await handle(message):
                self.messages.remove(message)


@dataclass(slots=True)
class Shell:
    """Sessions, queues and a file for events, and the commands run on them."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    environment: dict[str, str] = field(default_factory=dict)
    store: FakeStore = field(default_factory=FakeStore)
    results: FakeQueue[MemoryQueue] = field(default_factory=lambda: FakeQueue(MemoryQueue(FakeClock())))
    poison: FakePoisonQueue = field(default_factory=FakePoisonQueue)

    def __post_init__(self) -> None:
        self.environment |= {
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
            "EVENTS_FILE": str(self.folder / "events.jsonl"),
            "ID_PEPPER": PEPPER,
        }

    def run(self, *words: str) -> Ended:
        """Run `python -m ops` in this process, over memory."""
        return run_command(self.capsys, words, self.environment, partial(MemoryConnections, self))

    def events(self) -> list[str]:
        """Return the lines of the file for events."""
        path = Path(self.environment["EVENTS_FILE"])
        return path.read_text().splitlines() if path.exists() else []

    def results_messages(self) -> list[CollectMessage]:
        """Return the visible messages in the app's queue."""
        queue = self.results.inner
        due = [message.text for message in queue.messages if message.visible_at <= queue.clock()]
        return [CollectMessage.from_text(text) for text in due]

    def add(self, **changes: Any) -> SessionRecord:  # noqa: ANN401 - of any field.
        """Store a new record."""
        record = new_record(**changes)
        asyncio.run(Sessions(self.store, RETENTION_DAYS, PSEUDONYMS).add(record))
        return record

    def edit(self, session_id: str, **values: Value) -> None:
        """Change columns of a record's row by hand, as somebody with access to the table can."""
        row = asyncio.run(self.store.get(Table.SESSIONS, session_id))
        assert row
        asyncio.run(self.store.replace(Table.SESSIONS, replace(row, values={**row.values, **values})))

    def record(self, session_id: str) -> SessionRecord:
        """Read a record."""
        return asyncio.run(Sessions(self.store, RETENTION_DAYS, PSEUDONYMS).reload(session_id)).record


class MemoryConnections(Connections):
    """Connections to the shell's account in memory; publishers are the real ones."""

    def __init__(self, shell: Shell, settings: Settings, environment: Mapping[str, str]) -> None:
        super().__init__(settings, environment)
        self._shell = shell

    async def store(self) -> FakeStore:
        return self._shell.store

    async def results(self) -> FakeQueue[MemoryQueue]:
        return self._shell.results

    async def poison(self) -> FakePoisonQueue:
        return self._shell.poison


def run_command(capsys: pytest.CaptureFixture[str], *arguments: Any) -> Ended:  # noqa: ANN401 - of `main`.
    """Run `main` in this process, and read how it ended."""
    capsys.readouterr()
    try:
        status = main(*arguments)
    except SystemExit as usage:
        status = int(usage.code or 0)
    written = capsys.readouterr()
    errors = written.err.splitlines()
    target = errors.pop(0) if errors and errors[0].startswith(_TARGET) else ""
    return Ended(status, written.out.splitlines(), errors, target.removeprefix("ops: "))


async def run_beside(capsys: pytest.CaptureFixture[str], words: str, **environment: str) -> Ended:
    """Run a command in a thread, while a broker answers in this event loop."""
    return await asyncio.to_thread(run_command, capsys, words.split(), environment)


def add_az(folder: Path, script: str) -> None:
    """Put a made-up Azure CLI into a folder."""
    (folder / "az").write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n", "utf-8")
    (folder / "az").chmod(0o755)


def add_package(folder: Path) -> Path:
    """Put a package of version 1.0 and commit abc into a folder."""
    path = folder / "broker.zip"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("release.json", json.dumps({"version": "1.0", "commit": "abc"}))
    return path


def collect_message(session_id: str | None = None, attempt: int = 5) -> str:
    """Return the text of one of the app's messages."""
    return CollectMessage(session_id or str(uuid.uuid4()), Reason.SWEEP, attempt, TRACEPARENT).to_text()


def new_record(**changes: Any) -> SessionRecord:  # noqa: ANN401 - of any field.
    """Make a record: unless changed, of a session that passed and whose event was published."""
    record = SessionRecord(
        session_id=str(uuid.uuid4()),
        token_hash=TOKEN_HASH,
        device="a-pseudonym",
        limit_rows=(f"device-{changes.get('device', 'a-pseudonym')}",),
        created_at=ENDED_AT - 5_000,
        token_expires_at=ENDED_AT + 595_000,
        principal="a-caller",
        client_reference="order:1",
        face_api_version="v1.2",
        region="westeurope",
        traceparent=TRACEPARENT,
        status=SessionStatus.RESULT_AVAILABLE,
        decision=LivenessDecision.REALFACE,
        decided=((0, "realface", 1),),
        digest="A" * 64,
        attempts=1,
        completed_at=ENDED_AT,
        upstream_request_id="a-request",
        published_at=ENDED_AT + 1_000,
    )
    return replace(record, **changes)
