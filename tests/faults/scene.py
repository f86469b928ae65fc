"""What a worker process works with, and what must be true of it in the end."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from create_session.use_case import CreateCommand, Created, create_session
from get_result.use_case import ResultQuery, get_result
from local.simulator import FaceSimulator
from shared.access import Caller
from shared.app import App, build
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE
from shared.sessions.record import EXPIRY_GRACE_MS, SessionRecord
from shared.settings import Settings
from shared.storage.port import Table
from shared.throttle.rows import Row
from tests.faults.deaths import Death
from tests.faults.worker import REQUEST_ID, TOKEN_SECONDS, Order, PromptQueue, command_of, run
from tests.support.azurite import Azurite, count_messages
from tests.support.broker import FACE_KEY, environment
from tests.support.http import plain_client
from tests.support.time import FakeClock


@dataclass(frozen=True, slots=True)
class Scene:
    """Azurite, Face and a file of events, workers that die, and an app in this process that lives."""

    app: App
    azurite: Azurite
    simulator: FaceSimulator
    clock: FakeClock
    settings: dict[str, str]
    events_file: Path

    async def created(self, device_id: str, idempotency_key: str | None = None) -> Created:
        """Create a session undisturbed."""
        return await create_session(self.app, command_of(device_id, idempotency_key))

    async def perform(self, created: Created, outcome: str | None = None) -> bool:
        """Perform the check, as the phone does; returns whether Face let it."""
        headers = {"Authorization": f"Bearer {created.auth_token}"}
        async with plain_client(self.simulator.url) as phone:
            body = {"outcome": outcome} if outcome else {}
            return (await phone.post("/simulator/perform", headers=headers, json=body)).is_success

    async def poll(self, created: Created) -> None:
        """Ask for the result, undisturbed."""
        query = ResultQuery(created.session_id, created.auth_token, Caller(), REQUEST_ID)
        await get_result(self.app, query)

    def let_tokens_end(self) -> None:
        """Move the clock until a session without a result has expired."""
        self.clock.advance_seconds(TOKEN_SECONDS + EXPIRY_GRACE_MS / 1000 + 1)

    async def run(self, create: CreateCommand | None = None, death: Death | None = None) -> int:
        """Have a worker process create a session, or collect all results; returns its exit code."""
        return await run(Order(create, self.clock(), self.settings, death))

    async def record(self, session_id: str) -> SessionRecord | None:
        """Return the record of a session, or None."""
        stored = await self.app.sessions.get(session_id)
        return stored.record if stored else None

    def events(self, session_id: str) -> list[dict[str, Any]]:
        """Return the events of a session, duplicates included."""
        lines = self.events_file.read_text().splitlines() if self.events_file.exists() else []
        return [event for line in lines if (event := json.loads(line))["subject"] == session_id]

    async def failures_charged(self, device_id: str) -> int:
        """Count the charges for a device's failed checks."""
        device = await self.app.pseudonyms.of("device", device_id)
        entity = await self.app.store.get(Table.THROTTLE, f"device-{device}")
        return len(Row.of(entity).logs.get("failed", ())) if entity else 0

    async def messages(self) -> tuple[int, int]:
        """Count the messages that are left, and the poison messages."""
        account = self.azurite.account
        return (await count_messages(account, RESULTS_QUEUE), await count_messages(account, POISON_QUEUE))

    async def require_ended(self, session_id: str, decision: str | None) -> SessionRecord:
        """Assert that a session ended with this decision and left nothing behind; returns its record."""
        record = await self.record(session_id)
        assert record
        assert (record.final, record.decision) == (True, decision)
        assert record.published_at is not None
        assert record.deleted_upstream
        events = self.events(session_id)
        assert events, "no event"
        assert all(event == events[0] for event in events), "two events of one session differ"
        assert events[0]["data"]["livenessDecision"] == decision
        assert session_id not in {
            session.session_id for session in self.simulator.sessions if not session.deleted
        }
        return record


@asynccontextmanager
async def running_scene(azurite: Azurite, folder: Path) -> AsyncIterator[Scene]:
    """Start Face and an app over an empty queue."""
    clock, events_file = FakeClock(), folder / "events.jsonl"
    simulator = FaceSimulator(key=FACE_KEY, clock=clock)
    await simulator.start()
    settings = environment(
        simulator.url,
        AzureWebJobsStorage=azurite.connection_string,
        ID_PEPPER="pepper-of-the-tests",
        EVENTS_FILE=str(events_file),
    )
    plain = build(Settings.from_mapping(settings), clock=clock)
    app = build(plain.settings, clock=clock, store=plain.store, queue=PromptQueue(plain.queue))
    try:
        await _clear(azurite)
        yield Scene(app, azurite, simulator, clock, settings, events_file)
    finally:
        await app.aclose()
        await plain.aclose()
        await simulator.stop()


async def _clear(azurite: Azurite) -> None:
    """Remove messages that an earlier test left when it failed."""
    for name in (RESULTS_QUEUE, POISON_QUEUE):
        if await count_messages(azurite.account, name):
            async with azurite.account.queue_client(name) as queue:
                await queue.clear_messages()
