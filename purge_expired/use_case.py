"""Retention: delete rows that mean nothing any more, a bounded number in each run.

A table can be too long for one run, so each run begins at another place and goes round. Two runs at once do no harm:
a row is deleted only as it was read.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from shared.app import App
from shared.errors import EntityChanged, KeyUnavailable, StorageUnavailable
from shared.sessions.store import from_entity
from shared.storage.port import Entity, Table
from shared.telemetry import log_event
from shared.values import immutable

MARGIN_MS = 300_000
"""How long a row stays after its end: longer than any request that may still hold it, by any instance's clock."""

_log = logging.getLogger(__name__)


@immutable
class Bounds:
    """The limits of a run: `rows` and `milliseconds` for each table, `batch` rows in one deletion, `seconds` in all.

    A table also has the time that earlier tables left over. The host ends the process after `functionTimeout`.
    """

    rows: int = 20_000
    milliseconds: int = 12_000
    batch: int = 500
    seconds: float = 50.0


BOUNDS = Bounds()

_HOUR_MS = 3_600_000
# The fraction of the golden ratio: steps of this length round a circle end far from all earlier ones.
_STEP = 0.618_033_988_749_895

_ORDER = (Table.IDEMPOTENCY, Table.THROTTLE, Table.SESSIONS)


@dataclass(slots=True)
class Tally:
    """What became of the rows of one table; `unpublished` counts deleted sessions whose event is owed."""

    seen: int = 0
    deleted: int = 0
    put_off: int = 0
    unpublished: int = 0
    unfinished: bool = False
    trouble: str | None = None


async def purge_expired(app: App, bounds: Bounds = BOUNDS) -> dict[Table, Tally]:
    """Delete expired rows, and return what was done; a failure of the store is logged, and left to the next run."""
    tallies = {table: Tally(unfinished=True) for table in _ORDER}
    started = app.clock()
    try:
        async with asyncio.timeout(bounds.seconds):
            for number, (table, tally) in enumerate(tallies.items(), 1):
                await _purge_table(app, table, tally, bounds, started + number * bounds.milliseconds)
    except TimeoutError:
        tally.trouble = "out of time"
    _report(tallies, app.clock() - started)
    return tallies


async def _purge_table(app: App, table: Table, tally: Tally, bounds: Bounds, ends_at: int) -> None:
    batch: list[Entity] = []
    try:
        async for entity in _walk(app, table, tally, bounds, ends_at):
            if table is not Table.SESSIONS or await _session_may_go(app, entity, tally):
                batch.append(entity)
            if len(batch) >= bounds.batch:
                tally.deleted += await app.store.delete_together(table, batch)
                batch.clear()
        tally.deleted += await app.store.delete_together(table, batch)
    except (StorageUnavailable, KeyUnavailable) as trouble:
        tally.trouble = trouble.detail or trouble.code


async def _walk(app: App, table: Table, tally: Tally, bounds: Bounds, ends_at: int) -> AsyncIterator[Entity]:
    now = app.clock()
    rows = aiter(app.store.expired(table, now - MARGIN_MS, start=now // _HOUR_MS * _STEP % 1))
    while (seconds_left := (ends_at - app.clock()) / 1000) > 0:
        try:
            # The store can search for long without a result.
            async with asyncio.timeout(seconds_left):
                entity = await anext(rows, None)
        except TimeoutError:
            return
        if entity is None:
            tally.unfinished = False
            return
        if tally.seen == bounds.rows:
            return
        tally.seen += 1
        yield entity


async def _session_may_go(app: App, entity: Entity, tally: Tally) -> bool:
    try:
        stored = await from_entity(entity, app.pseudonyms)
    except StorageUnavailable:
        # An unreadable or forged row is deleted by its date alone.
        return True
    try:
        if await app.sessions.put_off(stored, entity.expires_at):
            tally.put_off += 1
            return False
    except EntityChanged:
        return False
    if stored.record.owes_event:
        # Before the deletion, because a run may end there: two lines are better than none.
        log_event(_log, logging.ERROR, "session_purged_without_event", sessionId=entity.key)
        tally.unpublished += 1
    return True


def _report(tallies: dict[Table, Tally], milliseconds: int) -> None:
    sessions = tallies[Table.SESSIONS]
    troubles = [f"{table.value}: {tally.trouble}" for table, tally in tallies.items() if tally.trouble]
    log_event(
        _log,
        logging.WARNING if troubles or sessions.unpublished else logging.INFO,
        "purge_ended",
        **{f"{table.value}Deleted": tally.deleted for table, tally in tallies.items()},
        sessionsPutOff=sessions.put_off,
        sessionsUnpublished=sessions.unpublished,
        unfinished=", ".join(table.value for table, tally in tallies.items() if tally.unfinished) or None,
        trouble="; ".join(troubles) or None,
        milliseconds=milliseconds,
    )
