"""Retention: rows that mean nothing any more are deleted, a bounded number of them in each run.

A table can be too long for one run, so each begins somewhere else and goes round. Two runs at once do no harm: a row is
deleted only as it was read, whoever deleted or renewed it meanwhile.

A session whose event is still owed is kept for longer than others (`shared.sessions.store`), and then goes as well:
each is named in the log.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from shared.app import App
from shared.errors import EntityChanged, StorageUnavailable
from shared.sessions.store import Stored, from_entity
from shared.storage.port import Entity, RoundStore, Table
from shared.telemetry import log_event

MARGIN_MS = 300_000
"""How long a row stays after its end: longer than any request that may still hold it, by whichever clock."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a run does at most: `rows` in each table, `batch` of them in one deletion.

    A table has `milliseconds`, and what those before it have left of theirs. After `seconds` in all the run is ended
    wherever it is: the host would end the whole process after `functionTimeout`.
    """

    rows: int = 20_000
    milliseconds: int = 12_000
    batch: int = 500
    seconds: float = 50.0


BOUNDS = Bounds()

_HOUR_MS = 3_600_000
# The golden ratio's fraction: of so many steps round a circle, each ends far from all before it.
_STEP = 0.618_033_988_749_895

_ORDER = (Table.IDEMPOTENCY, Table.THROTTLE, Table.SESSIONS)


@dataclass(slots=True)
class Tally:
    """What became of the rows of one table; `unpublished` are sessions that went although their event is owed."""

    seen: int = 0
    deleted: int = 0
    put_off: int = 0
    unpublished: int = 0
    unfinished: bool = False
    trouble: str | None = None


async def purge_expired(app: App, bounds: Bounds = BOUNDS) -> dict[Table, Tally]:
    """Delete what is kept no longer, and answer what was done.

    Trouble of the store is logged and left to the next run: it is never raised.
    """
    tallies = {table: Tally(unfinished=True) for table in _ORDER}
    # Rows are judged by the store's time, which an app that has just started learns from an answer.
    with suppress(StorageUnavailable):
        await app.store.check()
    started = app.clock()
    try:
        async with asyncio.timeout(bounds.seconds):
            for number, (table, tally) in enumerate(tallies.items(), 1):
                run = _Run(app, table, tally, bounds, started + number * bounds.milliseconds)
                await run.purge()
    except TimeoutError:
        tally.trouble = "out of time"
    _report(tallies, app.clock() - started)
    return tallies


@dataclass(frozen=True, slots=True)
class _Run:
    """One run through one table, until `ends_at` by the app's clock."""

    app: App
    table: Table
    tally: Tally
    bounds: Bounds
    ends_at: int

    async def purge(self) -> None:
        try:
            await self._purge()
        except StorageUnavailable as trouble:
            self.tally.trouble = trouble.detail or trouble.code

    async def _purge(self) -> None:
        batch: list[Entity] = []
        async for entity in self._walk():
            if await self._may_go(entity):
                batch.append(entity)
            if len(batch) >= self.bounds.batch:
                await self._delete(batch)
                batch.clear()
        await self._delete(batch)

    async def _walk(self) -> AsyncIterator[Entity]:
        rows = aiter(self._expired())
        while True:
            try:
                # The store can look for long without finding anything.
                async with asyncio.timeout(self._seconds_left()):
                    entity = await anext(rows, None)
            except TimeoutError:
                return
            if entity is None:
                self.tally.unfinished = False
                return
            if self.tally.seen >= self.bounds.rows:
                return
            self.tally.seen += 1
            yield entity

    def _expired(self) -> AsyncIterator[Entity]:
        store, now = self.app.store, self.app.clock()
        if isinstance(store, RoundStore):
            return store.expired_from(now // _HOUR_MS * _STEP % 1, self.table, now - MARGIN_MS)
        return store.expired(self.table, now - MARGIN_MS)

    def _seconds_left(self) -> float:
        left = (self.ends_at - self.app.clock()) / 1000
        if left <= 0:
            raise TimeoutError
        return left

    async def _may_go(self, entity: Entity) -> bool:
        stored = _session(entity) if self.table is Table.SESSIONS else None
        if stored is None:
            return True
        try:
            if await self.app.sessions.put_off(stored, entity.expires_at):
                self.tally.put_off += 1
                return False
        except EntityChanged:
            return False
        if stored.record.owes_event:
            # Before the deletion, in which a run may end: better a line twice than none.
            log_event(_log, logging.ERROR, "session_purged_without_event", sessionId=entity.key)
            self.tally.unpublished += 1
        return True

    async def _delete(self, batch: Sequence[Entity]) -> None:
        self.tally.deleted += await self.app.store.delete_together(self.table, batch)


def _session(entity: Entity) -> Stored | None:
    """The session in a row, or None where nobody can read it: such a row goes by its date alone."""
    try:
        return from_entity(entity)
    except StorageUnavailable:
        return None


def _report(tallies: dict[Table, Tally], milliseconds: int) -> None:
    sessions = tallies[Table.SESSIONS]
    troubles = [f"{table.value}: {tally.trouble}" for table, tally in tallies.items() if tally.trouble]
    unfinished = [table.value for table, tally in tallies.items() if tally.unfinished]
    log_event(
        _log,
        logging.WARNING if troubles or sessions.unpublished else logging.INFO,
        "purge_ended",
        **{f"{table.value}Deleted": tally.deleted for table, tally in tallies.items()},
        sessionsPutOff=sessions.put_off,
        sessionsUnpublished=sessions.unpublished,
        unfinished=", ".join(unfinished) or None,
        trouble="; ".join(troubles) or None,
        milliseconds=milliseconds,
    )
