"""A storage account in Azurite as the app leaves it, and the commands run on it."""

import asyncio
import base64
import json
import random
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue.aio import QueueClient

from local.ops.command_line import main
from shared.face.model import LivenessDecision, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE
from shared.sessions.record import SessionRecord
from shared.sessions.store import Sessions, Stored
from shared.storage.account import StorageAccount
from shared.storage.port import Entity, SearchableStore, Table

RETENTION_DAYS = 17
TOKEN_HASH = "d0" * 32
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command went."""

    status: int
    lines: Sequence[str]
    errors: Sequence[str]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What it wrote with `--json`."""
        return [json.loads(line) for line in self.lines]


@dataclass(slots=True)
class Depot:
    """Sessions, queues and the file for events of one test; its sessions completed in minutes of their own."""

    connection_string: str
    folder: Path
    capsys: pytest.CaptureFixture[str]
    began_at: int = field(default_factory=lambda: random.randrange(10**12, 11 * 10**11, 60_000))  # noqa: S311 - a time.
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def events_file(self) -> Path:
        """Where events go."""
        return self.folder / "events.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        """What an operator's shell has."""
        return {
            "AzureWebJobsStorage": self.connection_string,
            "EVENTS_FILE": str(self.events_file),
        } | self.extra

    def ops(self, *words: str) -> Ended:
        """Run `python -m local ops` with these words, in this process."""
        self.capsys.readouterr()
        try:
            status = main(words, self.environment)
        except SystemExit as usage:
            status = int(usage.code or 0)
        written = self.capsys.readouterr()
        return Ended(status, written.out.splitlines(), written.err.splitlines())

    def events(self) -> list[str]:
        """The lines of the file for events."""
        return self.events_file.read_text().splitlines() if self.events_file.exists() else []

    def add(self, **changes: Any) -> SessionRecord:  # noqa: ANN401 - of any field.
        """Keep a record: unless changed, of a check that passed, and whose event was published."""
        record = replace(self._record(), **changes)
        self.with_store(lambda store: Sessions(store, RETENTION_DAYS).add(record))
        return record

    def stored(self, session_id: str) -> Stored:
        """Read a record."""
        return self.with_store(lambda store: Sessions(store, RETENTION_DAYS).reload(session_id))

    def entity(self, session_id: str) -> Entity | None:
        """Read the row of a record."""
        return self.with_store(lambda store: store.get(Table.SESSIONS, session_id))

    def with_store(self, use: Callable[[SearchableStore], Coroutine[Any, Any, _Answer]]) -> _Answer:
        """Do something with the account's tables."""

        async def used() -> _Answer:
            store = StorageAccount.local(self.connection_string).open_tables(deadline=10)
            try:
                return await use(store)
            finally:
                await store.aclose()

        return asyncio.run(used())

    def poison(self, *texts: str, raw: bool = False) -> list[str]:
        """Put messages into the poison queue, as the host does; their ids."""
        return asyncio.run(self._send(POISON_QUEUE, [text if raw else _encoded(text) for text in texts]))

    def poisoned(self) -> list[str]:
        """What shows in the poison queue."""
        return asyncio.run(self._texts(POISON_QUEUE))

    def results(self) -> list[str]:
        """What shows in the queue of the app."""
        return asyncio.run(self._texts(RESULTS_QUEUE))

    def clear(self) -> None:
        """Empty both queues; they are there afterwards."""
        asyncio.run(self._clear())

    def delete_queue(self, name: str) -> None:
        """Take a queue away."""
        asyncio.run(self._delete_queue(name))

    def _record(self) -> SessionRecord:
        return SessionRecord(
            session_id=str(uuid.uuid4()),
            token_hash=TOKEN_HASH,
            device="a-pseudonym",
            created_at=self.began_at - 5_000,
            token_expires_at=self.began_at + 595_000,
            principal="a-caller",
            client_reference="order:1",
            face_api_version="v1.2",
            region="westeurope",
            traceparent=TRACEPARENT,
            status=SessionStatus.RESULT_AVAILABLE,
            decision=LivenessDecision.REALFACE,
            digest="A" * 64,
            attempts=1,
            completed_at=self.began_at,
            upstream_request_id="a-request",
            published_at=self.began_at + 1_000,
        )

    async def _send(self, queue: str, texts: Sequence[str]) -> list[str]:
        async with self._queue(queue) as client:
            return [str((await client.send_message(text)).id) for text in texts]

    async def _texts(self, queue: str) -> list[str]:
        async with self._queue(queue) as client:
            return [_decoded(message.content) for message in await client.peek_messages(max_messages=32)]

    async def _clear(self) -> None:
        for name in (POISON_QUEUE, RESULTS_QUEUE):
            async with self._queue(name) as client:
                try:
                    await client.create_queue()
                except ResourceExistsError:
                    await client.clear_messages()

    async def _delete_queue(self, name: str) -> None:
        async with self._queue(name) as client:
            await client.delete_queue()

    def _queue(self, name: str) -> QueueClient:
        return QueueClient.from_connection_string(self.connection_string, name)


def collect_message(session_id: str | None = None, attempt: int = 5) -> str:
    """The text of a message of the app."""
    return CollectMessage(session_id or str(uuid.uuid4()), Reason.SWEEP, attempt, TRACEPARENT).to_text()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(raw: str) -> str:
    try:
        return base64.b64decode(raw, validate=True).decode()
    except ValueError:
        return raw
