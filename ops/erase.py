"""`ops session erase`: tell subscribers, and then delete what the broker keeps of sessions, at Face too."""

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ops.access import QUEUE_WRITER, TABLE_READER, TABLE_WRITER, explained
from ops.connections import Connect, connected
from ops.output import CommandFailed, Output, confirm, counted, notify
from ops.session import (
    caller_hint,
    devices_of,
    find_session,
    require_device_of_caller,
    search,
    summary_of,
    wanted_of,
)
from shared.errors import Failed
from shared.events.cloud_event import erased_event
from shared.events.publisher import Publisher
from shared.pseudonyms import Pseudonyms
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import RESULTS_QUEUE, MessageQueue
from shared.sessions.record import SessionRecord
from shared.storage.port import SearchableStore, Table
from shared.text import Clock, system_clock
from shared.throttle.subjects import rows_of


async def run(arguments: argparse.Namespace, environment: Mapping[str, str], connect: Connect) -> None:
    """Show what would be erased, ask, and erase it; raises `CommandFailed`."""
    require_device_of_caller(arguments)
    output = Output(arguments.json)
    async with connected(arguments, environment, connect) as connections:
        pseudonyms = await connections.needed_pseudonyms("no key to check records and find limits with")
        store = await connections.store()
        records, refused = await _selected(arguments, store, pseudonyms, system_clock())
        rows = await _rows(arguments, store, pseudonyms, records)
        if not (records or rows or refused):
            raise CommandFailed(f"nothing found{caller_hint(arguments)}")
        amount = _amount(records, rows)
        if arguments.dry_run or not arguments.yes:
            _show(records, rows, output, system_clock())
            if not arguments.dry_run and (records or rows):
                confirm(f"Erase {amount}? This cannot be undone.")
        if not arguments.dry_run:
            erasure = Erasure(
                store, await connections.results(), await connections.publisher(), system_clock, output
            )
            await erasure.of(records, rows)
        verb = "would be erased" if arguments.dry_run else "erased"
        output.summary(f"{amount} {verb}")
        if not arguments.dry_run:
            notify("other copies are not reached: see Erase a person in docs/operations.md")
        if refused:
            raise CommandFailed(f"{refused} and kept; see above")


@dataclass(frozen=True, slots=True)
class Erasure:
    """Erases sessions, and rows of limits."""

    store: SearchableStore
    queue: MessageQueue
    publisher: Publisher
    clock: Clock
    output: Output

    async def of(self, records: Sequence[SessionRecord], rows: Collection[str]) -> None:
        """Erase all of them; raises `CommandFailed` where some are left, and the command can be run again."""
        # First, because only the records tell which ones they are.
        for key in rows:
            with explained("the rows of limits", TABLE_WRITER):
                await self.store.delete(Table.THROTTLE, key)
            self.output.result(f"{'erased':<9}{key}", outcome="erased", row=key)
        failed = 0
        for record in records:
            try:
                await self._erase(record)
            except (Failed, CommandFailed) as fault:
                failed += 1
                notify(f"session {record.session_id}: {fault}")
        if failed:
            raise CommandFailed(f"{counted(failed, 'session')} left; see above, and try again")

    async def _erase(self, record: SessionRecord) -> None:
        """Publish the event first: a run that dies after it can be repeated, as long as the record is there."""
        await self.publisher.publish(erased_event(record, self.clock()))
        if record.answer_row:
            with explained("the answer for the idempotency key", TABLE_WRITER):
                await self.store.delete(Table.IDEMPOTENCY, record.answer_row)
        with explained("the record of the session", TABLE_WRITER):
            await self.store.delete(Table.SESSIONS, record.session_id)
        self.output.result(
            f"{'erased':<9}{summary_of(record, self.clock())}", outcome="erased", sessionId=record.session_id
        )
        if not record.deleted_upstream:
            # The collector deletes a session without a record at Face.
            message = CollectMessage(record.session_id, Reason.REPLAY, traceparent=record.traceparent)
            with explained(f"deletion at Face: the queue {RESULTS_QUEUE}", QUEUE_WRITER):
                await self.queue.send(message.to_text(), 0)


async def _selected(
    arguments: argparse.Namespace, store: SearchableStore, pseudonyms: Pseudonyms, now: int
) -> tuple[list[SessionRecord], str]:
    """The records that the command line selects, the oldest first, and what `search` says of those it refused."""
    if arguments.session:
        return [(await find_session(store, pseudonyms, arguments.session))[1]], ""
    found, refused = await search(store, pseudonyms, await wanted_of(arguments, pseudonyms), 0, now)
    return [record for _, record in found], refused


async def _rows(
    arguments: argparse.Namespace,
    store: SearchableStore,
    pseudonyms: Pseudonyms,
    records: Sequence[SessionRecord],
) -> list[str]:
    """The keys of the rows of limits that exist for the devices and persons of these sessions."""
    keys = {key for record in records for key in record.limit_rows}
    if arguments.device:
        keys |= {key for device in await devices_of(arguments, pseudonyms) for key in rows_of(device, None)}
    if arguments.principal:
        persons = await pseudonyms.all_of("principal", arguments.principal)
        keys |= {key for person in persons for key in rows_of(None, person)}
    with explained("the rows of limits", TABLE_READER):
        return [key for key in sorted(keys) if await store.get(Table.THROTTLE, key)]


def _show(records: Sequence[SessionRecord], rows: Sequence[str], output: Output, now: int) -> None:
    for record in records:
        output.result(
            f"{'dry-run':<9}{summary_of(record, now)}", outcome="dry-run", sessionId=record.session_id
        )
    for key in rows:
        output.result(f"{'dry-run':<9}{key}", outcome="dry-run", row=key)


def _amount(records: Sequence[SessionRecord], rows: Sequence[str]) -> str:
    owed = sum(record.owes_event for record in records)
    lost = f", of which {owed} will never tell an outcome," if owed else ""
    return f"{counted(len(records), 'session')}{lost} and {counted(len(rows), 'row')} of limits"
