"""`ops drill`: fill a local storage emulator with a bad night, to try each command of docs/operations.md on."""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from azure.core.exceptions import ResourceExistsError

from ops.access import QUEUE_WRITER, TABLE_WRITER, explained
from ops.connections import Connect, connected, read_settings
from ops.output import Output, UsageError
from shared.face.model import LivenessDecision, SessionStatus
from shared.pseudonyms import Pseudonyms
from shared.queues.message import CollectMessage, Reason, id_of_text
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE
from shared.sessions.record import SessionRecord, Step
from shared.sessions.store import Sessions
from shared.settings import Settings, connection_parts
from shared.storage.account import StorageAccount
from shared.storage.port import EntityStore, Table
from shared.text import system_clock
from shared.throttle.rows import Row
from shared.throttle.subjects import rows_of

GOOD: Final = "0dec6cb6-2122-4d0e-acbf-cf83fc1e5d60"
"""It passed, and its event was published. Its device is locked out since."""
POISONED: Final = "c0e8d776-e54e-4474-ba0e-131fa3596854"
"""Its message is in the poison queue: Face refused the key until the collector gave up."""
UNPUBLISHED: Final = "5f0c3a1e-7a53-4a0b-9a44-6f6a2e9d1c07"
"""It failed, and its event was lost together with its message."""
LOST: Final = "e7b8d0a2-4c1f-4f0e-8a77-2f5d9b3c6e18"
"""Nobody made the check, and its message was lost."""
LEAVER: Final = "91d4c6f3-0b2e-4e58-b1c9-7a8e5d2f4b36"
"""Its person asks to be forgotten."""

_PERSON: Final = "https://login.example/ anna"
_TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_MINUTE: Final = 60_000
_LIFETIME: Final = 10 * _MINUTE
_UNUSABLE: Final = "{}"
_RETENTION_DAYS: Final = 30


async def run(arguments: argparse.Namespace, environment: Mapping[str, str], connect: Connect) -> None:
    """Fill the emulator; raises `UsageError` for any other account, and `CommandFailed`."""
    settings = read_settings(environment, {"storage_account": arguments.storage_account})
    if not (connection := _local_connection(settings)):
        raise UsageError(
            "a drill is for an emulator on this machine: AzureWebJobsStorage names another account"
        )
    output = Output(arguments.json)
    async with connected(arguments, environment, connect) as connections:
        pseudonyms = await connections.pseudonyms()
        if pseudonyms is None:
            raise UsageError("no pepper: set ID_PEPPER to that of the broker (local-pepper with make run)")
        with explained("the sessions", TABLE_WRITER):
            await _fill_tables(await connections.store(), pseudonyms, system_clock())
        with explained("the queues", QUEUE_WRITER):
            await _fill_queues(StorageAccount.local(connection))
    for what, command in _TRIALS:
        output.result(f"{what}\n  python -m ops {command}", what=what, command=f"python -m ops {command}")
    output.summary("docs/operations.md explains each of them")


_TRIALS: Final = (
    ("two messages failed too often; one of them can be used", "poison list"),
    ("one event was lost", "events republish --from -2h --to -1h --dry-run"),
    ("one session is stuck", "session find --owed"),
    ("a device is locked out", f"device show --session {GOOD}"),
    ("a person asks to be forgotten", "session erase --reference order:5 --dry-run"),
)


async def _fill_tables(store: EntityStore, pseudonyms: Pseudonyms, now: int) -> None:
    device = await pseudonyms.of("device", _PERSON, "annas-phone")
    caller = await pseudonyms.of("principal", _PERSON)
    sessions = Sessions(store, _RETENTION_DAYS, pseudonyms)
    for record in _records(now, device, caller):
        # An earlier drill may have left it.
        await sessions.remove(record.session_id)
        await sessions.add(record)
    failed = tuple(now - ago * _MINUTE for ago in (5, 4, 3, 2, 1))
    # Not within the last ten minutes: what the page shows has to be true until the failures are over.
    created = tuple(at - 30 * _MINUTE for at in failed)
    [key] = rows_of(device, None)
    row = Row(key, {"created": created, "failed": failed}, now + 1_440 * _MINUTE)
    await store.delete(Table.THROTTLE, row.key)
    await store.insert(Table.THROTTLE, row.entity())


async def _fill_queues(account: StorageAccount) -> None:
    message = CollectMessage(POISONED, Reason.SWEEP, 11, _TRACEPARENT).to_text()
    own = {id_of_text(text) for text in (message, _UNUSABLE)}
    for name in (RESULTS_QUEUE, POISON_QUEUE):
        async with account.queue_client(name, deadline=10) as queue:
            with suppress(ResourceExistsError):
                await queue.create_queue()
            if name == POISON_QUEUE:
                for earlier in [one async for one in queue.receive_messages(visibility_timeout=1)]:
                    if id_of_text(str(earlier.content)) in own:
                        await queue.delete_message(earlier)
                for text in (message, _UNUSABLE):
                    await queue.send_message(text)


def _records(now: int, device: str, caller: str) -> Iterator[SessionRecord]:
    def record(session_id: str, ago: int, number: int, **changes: Any) -> SessionRecord:  # noqa: ANN401
        created_at = now - ago * _MINUTE
        return SessionRecord(
            session_id=session_id,
            token_hash="0" * 64,
            device=device,
            limit_rows=tuple(rows_of(device, caller)),
            created_at=created_at,
            token_expires_at=created_at + _LIFETIME,
            caller=caller,
            principal=_PERSON,
            client_reference=f"order:{number}",
            client_reference_from="token",
            face_api_version="v1.2",
            region="westeurope",
            traceparent=_TRACEPARENT,
            history=((created_at, Step.CREATED), *changes.pop("history", ())),
            **changes,
        )

    def ended(session_id: str, ago: int, number: int, decision: LivenessDecision) -> SessionRecord:
        at = now - ago * _MINUTE
        return record(
            session_id,
            ago + 1,
            number,
            status=SessionStatus.RESULT_AVAILABLE,
            decision=decision,
            decided=((at, decision.value, 1),),
            attempts=1,
            digest="A" * 64,
            completed_at=at,
            deleted_upstream=True,
            history=((at, Step.COMPLETED),),
        )

    passed = ended(GOOD, 90, 1, LivenessDecision.REALFACE)
    yield passed.as_published(now - 89 * _MINUTE)
    yield record(POISONED, 600, 2, last_error="UpstreamUnauthorized: Face answered 401", failed_looks=12)
    yield ended(UNPUBLISHED, 80, 3, LivenessDecision.SPOOFFACE)
    yield record(LOST, 300, 4)
    leaver = ended(LEAVER, 200, 5, LivenessDecision.REALFACE).as_published(now - 199 * _MINUTE)
    device, caller = "1" * 64, "2" * 64
    yield replace(
        leaver,
        device=device,
        caller=caller,
        principal="https://login.example/ bert",
        limit_rows=tuple(rows_of(device, caller)),
    )


def _local_connection(settings: Settings) -> str | None:
    """The connection string, if all that it names is on this machine."""
    if settings.tables_url is not None or settings.storage_connection is None:
        return None
    text = settings.storage_connection.reveal()
    parts = connection_parts(text)
    urls = [parts.get("tableendpoint", ""), parts.get("queueendpoint", "")]
    return text if all(_is_loopback(urlsplit(url).hostname or "") for url in urls) else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
