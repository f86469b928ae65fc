"""`ops session`: show the record of a session, find sessions, or have an event published whose message was lost."""

import argparse
import re
from collections.abc import Collection, Mapping
from typing import Final

from ops.access import QUEUE_WRITER, TABLE_READER, explained
from ops.connections import HOW_TO_GIVE_THE_PEPPER, Connect, connected
from ops.output import CommandFailed, JsonValue, Output, UsageError, counted, notify, progress, worded
from shared.errors import StorageUnavailable
from shared.events.cloud_event import event_of
from shared.pseudonyms import Pseudonyms
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import RESULTS_QUEUE, MessageQueue
from shared.sessions.record import EXPIRY_GRACE_MS, SessionRecord
from shared.sessions.store import from_entity, unverified
from shared.storage.port import Entity, EntityStore, SearchableStore, Table
from shared.text import rfc3339, system_clock
from shared.throttle.subjects import devices_in, rows_of

_LATE_MS: Final = 600_000
"""How late a look may be before the operator is told."""
_MOST_NAMED: Final = 10
"""How many refused records a search names: with another pepper, all are refused."""
_PSEUDONYM: Final = re.compile("[0-9a-f]{64}")
_WHO_LOOKED: Final = """\
  AppTraces | where Message startswith "{{" | extend Event = parse_json(Message)
  | where Event.event == "session_accessed_by_server" and Event.sessionId == "{}"
  | project TimeGenerated, Caller = tostring(Event.caller)"""


async def run(arguments: argparse.Namespace, environment: Mapping[str, str], connect: Connect) -> None:
    """Run one of the commands; raises `CommandFailed`."""
    output = Output(arguments.json)
    if arguments.verb == "find":
        _require_search(arguments)
    async with connected(arguments, environment, connect) as connections:
        store, pseudonyms = await connections.store(), await connections.pseudonyms()
        if arguments.verb == "find":
            await find_sessions(store, pseudonyms, output, arguments, system_clock())
        elif arguments.verb == "show":
            await show_session(store, pseudonyms, output, arguments.session, system_clock())
        else:
            await collect_session(store, pseudonyms, await connections.results(), output, arguments.session)


async def show_session(
    store: EntityStore, pseudonyms: Pseudonyms | None, output: Output, session_id: str, now: int
) -> None:
    """Show the record of a session, and how to find the servers that read it; raises `CommandFailed` without one.

    Face is not called. `now` is in unix milliseconds.
    """
    entity, record = await find_session(store, pseudonyms, session_id)
    fields = fields_of(record, entity.expires_at, verified=pseudonyms is not None)
    output.result("\n".join(_lines(fields, record)), **fields)
    output.summary(f"servers that looked, from the logs of the region:\n{_WHO_LOOKED.format(session_id)}")
    if state := trouble_of(record, now):
        notify(
            f"{state}: run ops session collect {session_id}, or ops poison replay if its message is poison"
        )


async def collect_session(
    store: EntityStore,
    pseudonyms: Pseudonyms | None,
    queue: MessageQueue,
    output: Output,
    session_id: str,
) -> None:
    """Send `collect_result` a message about a session that still owes its event.

    It replaces a message that was lost; a second message does no harm. Raises `CommandFailed` where the session has
    no record, or owes no event.
    """
    _, record = await find_session(store, pseudonyms, session_id)
    if record.published_at is not None:
        raise CommandFailed(f"session {session_id}: its event was published; see ops events republish")
    if not record.owes_event:
        raise CommandFailed(f"session {session_id}: it was revoked before it ended, and has no event")
    message = CollectMessage(session_id, Reason.REPLAY, traceparent=record.traceparent)
    with explained(f"the queue {RESULTS_QUEUE}", QUEUE_WRITER):
        await queue.send(message.to_text(), 0)
    output.result(
        f"session {session_id}  status {record.status.value}: a message was sent to {RESULTS_QUEUE}",
        sessionId=session_id,
        status=record.status.value,
        outcome="sent",
    )


async def find_sessions(
    store: SearchableStore,
    pseudonyms: Pseudonyms | None,
    output: Output,
    arguments: argparse.Namespace,
    now: int,
) -> None:
    """List the sessions that have all that was asked for, the oldest first; raises `CommandFailed`."""
    wanted = await wanted_of(arguments, pseudonyms)
    end = now if arguments.end is None else arguments.end
    found, refused = await search(store, pseudonyms, wanted, arguments.start or 0, end)
    if arguments.owed:
        found = [one for one in found if is_overdue(one[1], now)]
    for entity, record in found:
        fields = fields_of(record, entity.expires_at, verified=pseudonyms is not None)
        output.result(summary_of(record, now), **fields)
    output.summary(f"{counted(len(found), 'session')} found")
    if not found and (hint := caller_hint(arguments)):
        notify(f"nothing found{hint}")
    if refused:
        raise CommandFailed(f"{refused}; see above")


async def wanted_of(
    arguments: argparse.Namespace, pseudonyms: Pseudonyms | None
) -> dict[str, Collection[str]]:
    """The values of columns that a record must have, one of each; raises `UsageError`."""
    wanted: dict[str, Collection[str]] = {}
    if arguments.reference is not None:
        wanted["client_reference"] = [arguments.reference]
    if arguments.principal is not None:
        wanted["principal"] = [arguments.principal]
    if arguments.device is not None:
        wanted["device"] = await devices_of(arguments, pseudonyms)
    return wanted


async def devices_of(arguments: argparse.Namespace, pseudonyms: Pseudonyms | None) -> Collection[str]:
    """The pseudonym of a device, or those under each pepper where its own id and its caller are given.

    Raises `UsageError` where that needs a pepper, and none is known.
    """
    if _PSEUDONYM.fullmatch(arguments.device):
        return [arguments.device]
    if pseudonyms is None:
        raise UsageError(f"no pepper to find the id of a device with: {HOW_TO_GIVE_THE_PEPPER}")
    return await pseudonyms.all_of("device", *filter(None, [arguments.caller]), arguments.device)


def caller_hint(arguments: argparse.Namespace) -> str:
    """A hint for a search that found nothing: where callers sign in, a device's own id needs its caller too."""
    device = arguments.device
    is_alone = device and not arguments.caller and not _PSEUDONYM.fullmatch(device)
    return "; where callers sign in, add --caller NAME" if is_alone else ""


async def search(
    store: SearchableStore,
    pseudonyms: Pseudonyms | None,
    wanted: Mapping[str, Collection[str]],
    start: int,
    end: int,
) -> tuple[list[tuple[Entity, SessionRecord]], str]:
    """Find the records with one of the values in each of these columns, of sessions that were created in a range.

    A device has several pseudonyms while the pepper is rotated. A record that names two of them leads to the records
    that name the other one. Returns the records with their rows, the oldest first, and a sentence about how many were
    refused, which is empty if none was. Names the first of these on stderr.
    """
    while True:
        found, refused, faults = await read_records(store, pseudonyms, wanted, start, end)
        known = set(wanted.get("device", ()))
        same = known | devices_in(key for _, record in found for key in record.limit_rows)
        if not known or same == known:
            break
        wanted = {**wanted, "device": same}
    for fault in faults:
        notify(fault)
    if refused > len(faults):
        notify(f"and {refused - len(faults)} more")
    found.sort(key=lambda one: one[1].created_at)
    return found, f"{refused} of {counted(len(found) + refused, 'record')} refused" if refused else ""


async def read_records(
    store: SearchableStore,
    pseudonyms: Pseudonyms | None,
    wanted: Mapping[str, Collection[str]],
    start: int,
    end: int,
) -> tuple[list[tuple[Entity, SessionRecord]], int, list[str]]:
    """Read the table: the records that are wanted, how many of them were refused, and why the first ones were.

    Raises `CommandFailed` where the table does not answer.
    """
    found: list[tuple[Entity, SessionRecord]] = []
    faults: list[str] = []
    seen = refused = 0
    async with progress(lambda: f"{counted(seen, 'session')} read, {len(found)} found"):
        with explained("the sessions", TABLE_READER):
            async for entity in store.between(Table.SESSIONS, "created_at", start, end):
                seen += 1
                if not all(_has(entity, name, values) for name, values in wanted.items()):
                    continue
                try:
                    found.append((entity, await _record_of(entity, pseudonyms)))
                except CommandFailed as fault:
                    refused += 1
                    if refused <= _MOST_NAMED:
                        faults.append(str(fault))
    return found, refused, faults


def _has(entity: Entity, name: str, values: Collection[str]) -> bool:
    """Whether a row has one of the values in a column. Its rows of limits have its device under each pepper."""
    if entity.values.get(name) in values:
        return True
    rows = str(entity.values.get("limit_rows"))
    return name == "device" and any(f'"{key}"' in rows for one in values for key in rows_of(one, None))


async def find_session(
    store: EntityStore, pseudonyms: Pseudonyms | None, session_id: str
) -> tuple[Entity, SessionRecord]:
    """Read the row and the record of a session; raises `CommandFailed` without one.

    With `pseudonyms` it also raises that if the MAC does not fit. Without them, the MAC is not checked.
    """
    with explained("the sessions", TABLE_READER):
        entity = await store.get(Table.SESSIONS, session_id)
    if entity is None:
        raise CommandFailed(
            f"session {session_id}: no record found: not created here, undone, or past its retention"
        )
    return entity, await _record_of(entity, pseudonyms)


async def _record_of(entity: Entity, pseudonyms: Pseudonyms | None) -> SessionRecord:
    try:
        stored = await from_entity(entity, pseudonyms) if pseudonyms else unverified(entity)
    except StorageUnavailable as fault:
        page = "see A record that was changed in docs/operations.md"
        raise CommandFailed(f"session {entity.key}: {fault.detail}; {page}") from fault
    return stored.record


def _require_search(arguments: argparse.Namespace) -> None:
    criteria = (arguments.reference, arguments.principal, arguments.device, arguments.start)
    if not arguments.owed and not any(one is not None for one in criteria):
        raise UsageError("expected --reference, --principal, --device, --owed or --from")
    require_device_of_caller(arguments)
    require_range(arguments)


def require_device_of_caller(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for a caller without a device."""
    if arguments.caller and not arguments.device:
        raise UsageError("--caller names the caller of --device")


def require_range(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for a range that ends before it begins."""
    if arguments.start is not None and arguments.end is not None and arguments.start >= arguments.end:
        raise UsageError("expected --from to be before --to")


def fields_of(record: SessionRecord, expires_at: int, *, verified: bool) -> dict[str, JsonValue]:
    """List what is shown of a record. The token's hash is left out, and so is a new field until it is added here."""
    failure = record.failure
    return {
        "sessionId": record.session_id,
        "verified": verified,
        "status": str(record.unread.get("status", record.status.value)),
        "livenessDecision": _decision(record),
        "passed": record.passed if record.final else None,
        "attempts": record.attempts,
        "owesEvent": record.owes_event,
        "nextLookDateTime": _time(_next_look(record)),
        "failedLooks": record.failed_looks,
        "lastError": record.last_error,
        "failure": {"code": failure.code, "message": failure.message} if failure else None,
        "revoked": record.revoked,
        "clientReference": record.client_reference,
        "clientReferenceFrom": record.client_reference_from,
        "principal": record.principal,
        "caller": record.caller,
        "device": record.device,
        "limitRows": " ".join(record.limit_rows) or None,
        "digest": record.digest,
        "digestRequired": record.digest_required,
        "digestMatches": record.digest_matches,
        "settled": record.settled,
        "abuseIsFailure": record.abuse_is_failure,
        "abuseDetected": record.abuse_detected,
        "flaggedSessions": " ".join(record.flagged_sessions) or None,
        "clientAddresses": " ".join(record.client_addresses) or None,
        "decisions": " ".join(decision for _, decision, _ in record.decided) or None,
        "faceApiVersion": record.face_api_version,
        "region": record.region,
        "upstreamRequestId": record.upstream_request_id,
        "traceparent": record.traceparent,
        "createdDateTime": rfc3339(record.created_at),
        "tokenExpiresDateTime": rfc3339(record.token_expires_at),
        "completedDateTime": _time(record.completed_at),
        "publishedDateTime": _time(record.published_at),
        "deletedAtFace": record.deleted_upstream,
        "keptUntil": rfc3339(expires_at),
        "eventId": event_of(record)["id"] if record.final else None,
        "further": " ".join(f"{name}={value}" for name, value in record.further.items()) or None,
        "history": [{"time": rfc3339(at), "step": str(step)} for at, step in record.history],
    }


def _decision(record: SessionRecord) -> str | None:
    """The decision as the row has it, also where only another release knows it."""
    unread = record.unread.get("decision")
    return str(unread) if unread else record.decision and record.decision.value


def _next_look(record: SessionRecord) -> int | None:
    """When the collector looks at the latest; None where it is done, or has given up."""
    if record.next_look_at is not None or record.last_error or not record.owes_event:
        return record.next_look_at
    return record.token_expires_at + EXPIRY_GRACE_MS


def trouble_of(record: SessionRecord, now: int) -> str | None:
    """Why the event of a session will not come by itself, or None (`now` in unix milliseconds)."""
    due = _next_look(record)
    if record.owes_event and (due is None or now > due + _LATE_MS):
        return "the collector gave up" if due is None else "the next look is overdue"
    return None


def is_overdue(record: SessionRecord, now: int) -> bool:
    """Whether the event should have come: the token has ended, so nobody can make the check any more."""
    return record.owes_event and now > record.token_expires_at


def summary_of(record: SessionRecord, now: int) -> str:
    """One line about a session (`now` in unix milliseconds)."""
    owed = ""
    if record.owes_event:
        owed = "  owes its event" if is_overdue(record, now) else "  its event is still to come"
    verdict = f"  passed {worded(record.passed)}" if record.final else ""
    return (
        f"{record.session_id}  {rfc3339(record.created_at)}  {record.status.value}{verdict}{owed}"
        f"  reference {worded(record.client_reference)}"
    )


def _lines(fields: dict[str, JsonValue], record: SessionRecord) -> list[str]:
    plain = [f"{name:<22}{worded(value)}" for name, value in fields.items() if name != "history"]
    return [*plain, "history", *(f"  {rfc3339(at)}  {step}" for at, step in record.history)]


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)
