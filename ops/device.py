"""`ops device`: show what counts against a device and its person, or clear it."""

import argparse
from collections.abc import Mapping, Sequence

from ops.access import TABLE_READER, TABLE_WRITER, explained
from ops.connections import Connect, connected
from ops.output import Output, confirm, counted, notify
from ops.session import caller_hint, devices_of, find_session
from shared.pseudonyms import Pseudonyms
from shared.settings import Settings
from shared.storage.port import EntityStore, Table
from shared.text import rfc3339, system_clock
from shared.throttle.limiter import Subject
from shared.throttle.rows import Row
from shared.throttle.subjects import Subjects, rows_of


async def run(arguments: argparse.Namespace, environment: Mapping[str, str], connect: Connect) -> None:
    """Run one of the commands; raises `CommandFailed`."""
    output = Output(arguments.json)
    async with connected(arguments, environment, connect) as connections:
        store, pseudonyms = await connections.store(), await connections.needed_pseudonyms("no pepper")
        subjects = await _subjects(arguments, store, connections.settings, pseudonyms)
        hint = caller_hint(arguments)
        if hint and not any([(await _row(store, subject.key)).logs for subject in subjects]):
            notify(f"nothing found{hint}")
        if arguments.verb == "show":
            await show_device(store, subjects, output, system_clock())
        else:
            await reset_device(store, subjects, output, dry_run=arguments.dry_run, is_confirmed=arguments.yes)


async def show_device(store: EntityStore, subjects: Sequence[Subject], output: Output, now: int) -> None:
    """Show each limit: how many are used, and when the next one is free (`now` in unix milliseconds)."""
    for subject in subjects:
        row = await _row(store, subject.key)
        output.summary(subject.key)
        for limit in subject.limits:
            log = row.logs.get(limit.log, ())
            for window in limit.policy.windows:
                state = window.state(log, now)
                used = window.limit - state.remaining
                free_at = None if state.remaining else rfc3339(now + state.reset_ms)
                output.result(
                    f"  {limit.name:<10}{window!s:<8}{used} used{f', free at {free_at}' if free_at else ''}",
                    row=subject.key,
                    limit=limit.name,
                    window=str(window),
                    used=used,
                    freeAt=free_at,
                )


async def reset_device(
    store: EntityStore, subjects: Sequence[Subject], output: Output, *, dry_run: bool, is_confirmed: bool
) -> None:
    """Delete the rows, so that nothing counts any more; asks before that. Raises `CommandFailed`."""
    keys = [subject.key for subject in subjects if (await _row(store, subject.key)).logs]
    if keys and not (dry_run or is_confirmed):
        confirm(f"Clear {counted(len(keys), 'row')}: {', '.join(keys)}?")
    for key in keys:
        if not dry_run:
            with explained("the throttle rows", TABLE_WRITER):
                await store.delete(Table.THROTTLE, key)
        outcome = "dry-run" if dry_run else "cleared"
        output.result(f"{outcome:<10}{key}", row=key, outcome=outcome)
    output.summary(counted(len(keys), "row") + (" would be cleared" if dry_run else " cleared"))


async def _subjects(
    arguments: argparse.Namespace, store: EntityStore, settings: Settings, pseudonyms: Pseudonyms
) -> list[Subject]:
    """The device and the person of a session, or those that the command line names.

    Their limits are those of the caller's client id, or else of its issuer, where `THROTTLE_OVERRIDES` names one.
    """
    keys: Sequence[str]
    if arguments.session:
        _, record = await find_session(store, pseudonyms, arguments.session)
        keys = record.limit_rows
        # Where a server named the person, the record does not name the server.
        caller = record.principal if set(rows_of(None, record.caller)) & set(keys) else None
    else:
        devices, caller = await devices_of(arguments, pseudonyms), arguments.caller
        persons = await pseudonyms.all_of("principal", caller) if caller else ()
        keys = [key for device in devices for key in rows_of(device, None)]
        keys += [key for person in persons for key in rows_of(None, person)]
    names = (arguments.limits_of, caller.split(" ")[0] if caller else None)
    made = Subjects(settings, pseudonyms)
    return [made.of_row(key, names) for key in keys]


async def _row(store: EntityStore, key: str) -> Row:
    with explained("the throttle rows", TABLE_READER):
        entity = await store.get(Table.THROTTLE, key)
        return Row.of(entity) if entity else Row(key, {})
