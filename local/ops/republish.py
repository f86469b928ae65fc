"""`ops events republish`: give the events of sessions to the publisher once more, made anew from their records."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from local.ops.failures import TABLE_READER, TABLE_WRITER, Failure, explained
from local.ops.output import Output, complain, counted
from shared.clock import Clock
from shared.errors import BrokerError, EventsUnavailable
from shared.events.cloud_event import event_of
from shared.events.publisher import Publisher
from shared.sessions.record import SessionRecord
from shared.sessions.store import Sessions, Stored, from_entity, retention_days_of
from shared.storage.port import Entity, SearchableStore, Table

_TOGETHER: Final = 16


@dataclass(frozen=True, slots=True)
class Republication:
    """What it takes; without a publisher nothing is sent or marked: a dry run."""

    store: SearchableStore
    publisher: Publisher | None
    clock: Clock
    out: Output

    async def of_session(self, session_id: str) -> None:
        """Publish the event of one session; raises `Failure` where it has none, or it was not taken."""
        with explained("the sessions", TABLE_READER):
            entity = await self.store.get(Table.SESSIONS, session_id)
            if entity is None:
                raise Failure(f"session {session_id}: there is no record")
            record = from_entity(entity).record
        if not record.final:
            raise Failure(f"session {session_id}: it has no event yet: its status is {record.status.value}")
        await self._all(_one(entity))

    async def of_range(self, start: int, end: int) -> None:
        """Publish the events whose `time` is at least `start` and before `end`, in unix milliseconds.

        Raises `Failure` where some were not taken, after all were tried; where sixteen fail one after the other it
        goes no further. The same range may be given again.
        """
        await self._all(self.store.between(Table.SESSIONS, "completed_at", start, end))

    async def _all(self, entities: AsyncIterator[Entity]) -> None:
        done = first = failed = 0
        stopped = ""
        with explained("the sessions", TABLE_READER):
            async for batch in _batches(entities):
                outcomes = await asyncio.gather(*(self._publish(entity) for entity in batch))
                done += sum(outcome is not None for outcome in outcomes)
                first += sum(outcome is True for outcome in outcomes)
                failed += (missed := outcomes.count(None))
                if missed == _TOGETHER:
                    stopped = "; it goes no further: nothing gets through"
                    break
        would = "would be published" if self.publisher is None else "published"
        self.out.summarise(f"{counted(done, 'event')} {would}, {first} for the first time")
        if failed:
            raise Failure(f"{counted(failed, 'event')} failed{stopped}; see above, and try again")

    async def _publish(self, entity: Entity) -> bool | None:
        """Answer whether it was for the first time, or None where it failed."""
        try:
            return await self._published(entity)
        except (BrokerError, EventsUnavailable, Failure) as fault:
            why = getattr(fault, "detail", "") or str(fault)
            complain(f"session {entity.key}: {why}")
            if self.out.as_json:
                self.out.tell("", sessionId=entity.key, outcome="failed", why=why)
            return None

    async def _published(self, entity: Entity) -> bool:
        stored = from_entity(entity)
        record = stored.record
        event = event_of(record)
        if self.publisher:
            await self.publisher.publish(event)
            if record.published_at is None:
                await self._mark(entity, stored)
        self._tell(record, event)
        return record.published_at is None

    async def _mark(self, entity: Entity, stored: Stored) -> None:
        """Write down that the event was taken; the record is kept for as long as the app says, not this machine."""
        with explained("the event was published, and the session is not marked", TABLE_WRITER):
            await Sessions(self.store, retention_days_of(entity)).change(
                stored, lambda record: record.as_published(self.clock())
            )

    def _tell(self, record: SessionRecord, event: dict[str, Any]) -> None:
        outcome = "dry-run" if self.publisher is None else "published"
        first = record.published_at is None
        self.out.tell(
            f"{outcome:<11}{event['id']}  {event['type']}  {event['time']}  session {record.session_id}"
            + ("  (for the first time)" if first else ""),
            outcome=outcome,
            sessionId=record.session_id,
            eventId=event["id"],
            eventType=event["type"],
            time=event["time"],
            first=first,
        )


async def _batches(entities: AsyncIterator[Entity]) -> AsyncIterator[list[Entity]]:
    batch: list[Entity] = []
    async for entity in entities:
        batch.append(entity)
        if len(batch) == _TOGETHER:
            yield batch
            batch = []
    if batch:
        yield batch


async def _one(entity: Entity) -> AsyncIterator[Entity]:
    yield entity
