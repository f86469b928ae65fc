"""`ops events republish`: publish the events of sessions again, made from their records."""

import argparse
import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Final

from ops.access import TABLE_READER, TABLE_WRITER, explained
from ops.connections import Connect, connected
from ops.output import CommandFailed, Output, UsageError, counted, notify, progress
from ops.session import find_session, require_range
from shared.errors import Failed
from shared.events.cloud_event import event_of
from shared.events.publisher import Publisher
from shared.pseudonyms import Pseudonyms
from shared.sessions.record import SessionRecord
from shared.sessions.store import Sessions, Stored, retention_days_of
from shared.storage.port import Entity, SearchableStore, Table
from shared.text import Clock, system_clock

_BATCH_SIZE: Final = 16


async def run(arguments: argparse.Namespace, environment: Mapping[str, str], connect: Connect) -> None:
    """Run the command; raises `CommandFailed`."""
    _require_selection(arguments)
    async with connected(arguments, environment, connect) as connections:
        lack = "no key to check the records with, so a forged one would pass"
        pseudonyms = await connections.needed_pseudonyms(lack)
        publisher = None if arguments.dry_run else await connections.publisher()
        store = await connections.store()
        republication = Republication(store, pseudonyms, publisher, system_clock, Output(arguments.json))
        if arguments.session:
            await republication.of_session(arguments.session)
        else:
            await republication.of_range(
                arguments.start, system_clock() if arguments.end is None else arguments.end
            )


def _require_selection(arguments: argparse.Namespace) -> None:
    by_time = arguments.start is not None
    if (arguments.session is None) != by_time or (arguments.end is not None and not by_time):
        raise UsageError("expected either --session, or --from and, unless it is now, --to")
    require_range(arguments)


@dataclass(slots=True)
class Republication:
    """One run of the command. Without a publisher it is a dry run: nothing is published or written.

    `pseudonyms` checks the MACs of the records: one that does not fit is not published.
    """

    store: SearchableStore
    pseudonyms: Pseudonyms
    publisher: Publisher | None
    clock: Clock
    output: Output
    published: int = 0
    first: int = 0
    failed: int = 0

    async def of_session(self, session_id: str) -> None:
        """Publish the event of one session; raises `CommandFailed` where it has none, or publishing failed."""
        entity, record = await find_session(self.store, self.pseudonyms, session_id)
        _require_known(record)
        if not record.final:
            raise CommandFailed(f"session {session_id}: no event yet, its status is {record.status.value}")
        if record.waits_for_digest(self.clock()):
            raise CommandFailed(f"session {session_id}: no event yet, the phone still has to send its digest")
        await self._try(session_id, self._publish(entity, record))
        self._summarize()

    async def of_range(self, start: int, end: int) -> None:
        """Publish the events whose `time` is at least `start` and before `end`, in unix milliseconds.

        The oldest comes first, in batches of sixteen at once. A session that waits for its digest is left alone.
        Tries all and then raises `CommandFailed` if some failed. Stops where a whole batch fails: each may take ten
        seconds. The same range may be given again.
        """
        found: list[tuple[int, str]] = []
        async with progress(lambda: self._progress(len(found))):
            with explained("the sessions", TABLE_READER):
                # Only what the order needs: the range may hold a million sessions.
                rows = self.store.between(Table.SESSIONS, "completed_at", start, end)
                found.extend([(int(row.values["completed_at"]), row.key) async for row in rows])
            found.sort()
            for first in range(0, len(found), _BATCH_SIZE):
                failed_before = self.failed
                batch = [key for _, key in found[first : first + _BATCH_SIZE]]
                await asyncio.gather(*(self._try(key, self._read_and_publish(key)) for key in batch))
                if self.failed - failed_before == _BATCH_SIZE:
                    # It raises, which ends the run.
                    self._summarize("; stopped, because a whole batch failed")
        self._summarize()

    def _progress(self, found: int) -> str:
        return f"{counted(found, 'session')} found, {self.published} done, {self.failed} failed"

    def _summarize(self, stopped: str = "") -> None:
        verb = "would be published" if self.publisher is None else "published"
        self.output.summary(f"{counted(self.published, 'event')} {verb}, {self.first} for the first time")
        if self.failed:
            raise CommandFailed(f"{counted(self.failed, 'event')} failed{stopped}; see above, and try again")

    async def _try(self, session_id: str, publication: Awaitable[None]) -> None:
        try:
            await publication
        except (Failed, CommandFailed) as fault:
            self.failed += 1
            about = f"session {session_id}: "
            notify(about + str(fault).removeprefix(about))
            if self.output.as_json:
                self.output.result("", sessionId=session_id, outcome="failed", why=str(fault))

    async def _read_and_publish(self, session_id: str) -> None:
        entity, record = await find_session(self.store, self.pseudonyms, session_id)
        _require_known(record)
        if record.waits_for_digest(self.clock()):
            # Its event would say that nobody passed.
            self.output.result(
                f"no event yet: the phone still has to send its digest  session {session_id}",
                outcome="waiting",
                sessionId=session_id,
            )
            return
        await self._publish(entity, record)

    async def _publish(self, entity: Entity, record: SessionRecord) -> None:
        # Nothing is written a second time. The row tells the app's retention.
        sessions = Sessions(self.store, retention_days_of(entity), self.pseudonyms)
        stored = Stored(record, entity.etag)
        if self.publisher:
            with explained("the record of the session", TABLE_WRITER):
                stored = await sessions.change(stored, lambda record: record.as_settled())
        record, event = stored.record, event_of(stored.record)
        if self.publisher:
            await self.publisher.publish(event)
            with explained("the event was published, but its record could not be marked", TABLE_WRITER):
                await sessions.change(stored, lambda record: record.as_published(self.clock()))
        outcome = "dry-run" if self.publisher is None else "published"
        first = record.published_at is None
        self.published += 1
        self.first += first
        self.output.result(
            f"{outcome:<11}{event['id']}  {event['type']}  {event['time']}  session {record.session_id}"
            + ("  (for the first time)" if first else ""),
            outcome=outcome,
            sessionId=record.session_id,
            eventId=event["id"],
            eventType=event["type"],
            time=event["time"],
            first=first,
        )


def _require_known(record: SessionRecord) -> None:
    """Raise `CommandFailed` for an outcome that only another release knows: its event would say something else."""
    if record.unread:
        raise CommandFailed(
            f"session {record.session_id}: its outcome was written by another release: use that one"
        )
