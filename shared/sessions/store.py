"""Session records in the entity store, each row under a MAC.

The MAC is an HMAC-SHA256 with a key from the vault, or while the pepper is rotated with one of several. It covers every
column of the row that it was made for, columns of another release too, and the id of the session. So a row that was
written by anybody but the broker is not read: not one with another decision, not the row of another session, not one
without its MAC.

It cannot show that a row is the newest: an older row of the same session fits too. Nor can it show that a row is gone.
Everybody who can read the secret can make MACs.
"""

import hmac
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.errors import EntityChanged, SessionNotFound, StorageUnavailable
from shared.face.model import Failure, LivenessDecision, SessionStatus
from shared.pseudonyms import Pepper, Pseudonyms
from shared.sessions.record import UNKNOWN_DECISION, SessionRecord
from shared.storage import columns
from shared.storage.port import Entity, EntityStore, Table, Value
from shared.telemetry import log_event
from shared.values import immutable

_log = logging.getLogger(__name__)

_DAY_MS = 86_400_000
_TRIES = 5
_COLUMNS: Mapping[str, Callable[[object], Any]] = {
    "token_hash": columns.text,
    "device": columns.text,
    "created_at": columns.moment,
    "token_expires_at": columns.moment,
    "caller": columns.text,
    "principal": columns.text,
    "answer_row": columns.text,
    "client_reference": columns.text,
    "client_reference_from": columns.text,
    "face_api_version": columns.text,
    "region": columns.text,
    "traceparent": columns.text,
    "digest": columns.text,
    "sent_digest": columns.text,
    "digest_required": columns.flag,
    "digest_matches": columns.flag,
    "settled": columns.flag,
    "abuse_is_failure": columns.flag,
    "abuse_detected": columns.flag,
    "attempts": columns.count,
    "completed_at": columns.moment,
    "upstream_request_id": columns.text,
    "revoked": columns.flag,
    "published_at": columns.moment,
    "deleted_upstream": columns.flag,
    "next_look_at": columns.moment,
    "last_error": columns.text,
    "failed_looks": columns.count,
}
"""The fields of a record that a row holds as they are, and their readers; None is an absent column."""
_LISTS = ("reads", "decided", "limit_rows", "flagged_sessions", "client_addresses")
"""The fields of a record that a row holds as lists in JSON; an empty list is an absent column."""
_MAC = "mac"
_OUTCOME = ("status", "decision", "failure_code", "failure_message")
_COMPOSED = (*_OUTCOME, "history", _MAC)
_STATUSES, _DECISIONS = frozenset(SessionStatus), frozenset(LivenessDecision)
# How a release names a status or a decision.
_NAME = re.compile("[A-Za-z]{1,32}")
_KNOWN = frozenset((*_COLUMNS, *_LISTS, *_COMPOSED))


@immutable
class Stored:
    """A record as it was read, with the ETag that a replacement needs."""

    record: SessionRecord
    etag: str


class Sessions:
    """Reads and writes session records, which are kept for `retention_days` after their creation.

    A record is kept twice as long while its event is not published: an operator needs time to find out why. Every
    method but `remove` raises `KeyUnavailable` without the key of the MACs, and what `from_entity` raises.
    """

    def __init__(self, store: EntityStore, retention_days: int, pseudonyms: Pseudonyms) -> None:
        self._store = store
        self._pseudonyms = pseudonyms
        self._retention_ms = retention_days * _DAY_MS

    async def get(self, session_id: str) -> Stored | None:
        """Read the record of a session, or None."""
        entity = await self._store.get(Table.SESSIONS, session_id)
        return await from_entity(entity, self._pseudonyms) if entity else None

    async def add(self, record: SessionRecord) -> None:
        """Keep the record of a new session; raises `EntityExists`."""
        await self._store.insert(Table.SESSIONS, await self._to_entity(record, ""))

    async def replace(self, stored: Stored, record: SessionRecord) -> Stored:
        """Replace the record that was read; raises `EntityChanged` if another writer came first."""
        if record == stored.record:
            return stored
        written = await self._store.replace(Table.SESSIONS, await self._to_entity(record, stored.etag))
        return Stored(record, written.etag)

    async def remove(self, session_id: str) -> None:
        """Delete the record of a session."""
        await self._store.delete(Table.SESSIONS, session_id)

    async def put_off(self, stored: Stored, due: int) -> bool:
        """Extend the expiry `due` of a row if retention was raised since; True if so. Raises `EntityChanged`."""
        if self._expires_at(stored.record) <= due:
            return False
        await self._store.replace(Table.SESSIONS, await self._to_entity(stored.record, stored.etag))
        return True

    async def reload(self, session_id: str) -> Stored:
        """Read a record again; raises `SessionNotFound` if it was deleted meanwhile."""
        stored = await self.get(session_id)
        if stored is None:
            raise SessionNotFound
        return stored

    async def change(self, stored: Stored, change: Callable[[SessionRecord], SessionRecord]) -> Stored:
        """Apply a change to the current record, again after each lost race; raises `StorageUnavailable`."""
        for _ in range(_TRIES):
            try:
                return await self.replace(stored, change(stored.record))
            except EntityChanged:
                stored = await self.reload(stored.record.session_id)
        raise StorageUnavailable("a session record is too busy")

    async def _to_entity(self, record: SessionRecord, etag: str) -> Entity:
        values, expires_at = _to_values(record), self._expires_at(record)
        peppers = await self._pseudonyms.peppers()
        [values[_MAC]] = _macs_of(record.session_id, expires_at, values, peppers[:1])
        return Entity(record.session_id, values, expires_at, etag)

    def _expires_at(self, record: SessionRecord) -> int:
        return record.created_at + self._retention_ms * _times_kept(record)


async def from_entity(entity: Entity, pseudonyms: Pseudonyms) -> Stored:
    """Read a record, if its MAC fits.

    Raises a lasting `StorageUnavailable` for a row that the broker did not write, or that is no record, and
    `KeyUnavailable`. Such a row is not taken for absent: its session may still have to end in an event.
    """
    expected = _macs_of(entity.key, entity.expires_at, entity.values, await pseudonyms.peppers())
    mac = str(entity.values.get(_MAC)).encode("utf-8", "replace")
    if not any(hmac.compare_digest(one.encode(), mac) for one in expected):
        log_event(_log, logging.ERROR, "record_mac_mismatch", sessionId=entity.key)
        raise StorageUnavailable(
            "a session record does not fit its MAC: it was changed by hand, or the pepper was", lasting=True
        )
    return unverified(entity)


def unverified(entity: Entity) -> Stored:
    """Read a record without its MAC, which nothing may be decided by; raises a lasting `StorageUnavailable`."""
    try:
        return Stored(_to_record(entity.key, entity.values), entity.etag)
    except (KeyError, TypeError, ValueError) as fault:
        raise StorageUnavailable("a session record cannot be read", lasting=True) from fault


def _macs_of(key: str, expires_at: int, values: Mapping[str, Value], peppers: Sequence[Pepper]) -> list[str]:
    """The MACs of a row under each pepper."""
    # JSON tells apart where names and values begin and end, and an integer from a text, a flag or a float.
    covered = [[name, values[name]] for name in sorted(values) if name != _MAC]
    # A value of a type that the broker never writes becomes a list, as no other value does.
    content = json.dumps([key, expires_at, covered], default=lambda value: [repr(value)]).encode()
    return [pepper.mac("session record", content).hex() for pepper in peppers]


def retention_days_of(entity: Entity) -> int:
    """The retention in days that this row was written with; raises `StorageUnavailable`."""
    record = unverified(entity).record
    return (entity.expires_at - record.created_at) // (_DAY_MS * _times_kept(record))


def _times_kept(record: SessionRecord) -> int:
    return 2 if record.owes_event else 1


def _to_values(record: SessionRecord) -> dict[str, Value]:
    values: dict[str, Value | None] = {
        **record.further,
        **{name: getattr(record, name) for name in _COLUMNS},
        **{name: json.dumps(items) for name in _LISTS if (items := getattr(record, name))},
        "status": record.status.value,
        "decision": record.decision.value if record.decision else None,
        "failure_code": record.failure.code if record.failure else None,
        "failure_message": record.failure.message if record.failure else None,
        "history": json.dumps(record.history),
    }
    if record.unread:
        values |= {**dict.fromkeys(_OUTCOME), **record.unread}
    return {name: value for name, value in values.items() if value is not None}


def _to_record(session_id: str, values: Mapping[str, Value]) -> SessionRecord:
    """Raises `KeyError` or `TypeError` for a missing column, `ValueError` for one that holds something else."""
    plain = {name: read(values[name]) for name, read in _COLUMNS.items() if name in values}
    status, decision, failure, is_unread = _outcome(values)
    lists = {name: columns.json_list(values.get(name, "[]")) for name in _LISTS}
    reads = tuple([columns.moment(at) for at in lists["reads"]])
    if list(reads) != sorted(reads):
        raise ValueError("reads out of order")
    decided = tuple([_decided(entry) for entry in lists["decided"]])
    if decision is not None and not decided:
        # Another release wrote the row, which kept the last decision alone.
        at = columns.moment(values.get("completed_at", values["created_at"]))
        decided = ((at, decision.value, plain.get("attempts", 1)),)
    return SessionRecord(
        session_id=session_id,
        **{"region": "unknown"} | plain,
        status=status,
        decision=decision,
        failure=failure,
        reads=reads,
        decided=decided,
        limit_rows=tuple([columns.text(key) for key in lists["limit_rows"]]),
        flagged_sessions=tuple([columns.text(other) for other in lists["flagged_sessions"]]),
        client_addresses=tuple([columns.text(address) for address in lists["client_addresses"]]),
        history=tuple([_timed(step) for step in columns.json_list(values["history"])]),
        further={name: value for name, value in values.items() if name not in _KNOWN},
        unread={name: values[name] for name in _OUTCOME if name in values} if is_unread else {},
    )


def _outcome(
    values: Mapping[str, Value],
) -> tuple[SessionStatus, LivenessDecision | None, Failure | None, bool]:
    """Status, decision and failure, and whether they only stand for those of another release; raises `ValueError`."""
    status, decision = columns.text(values["status"]), columns.text(values.get("decision", ""))
    failure = None
    if "failure_code" in values:
        message = columns.text(values.get("failure_message", ""))
        failure = Failure(columns.text(values["failure_code"]), message)
    if status not in _STATUSES and _NAME.fullmatch(status):
        # An event of that release says how the session ended: no other one may follow.
        ended = "published_at" in values
        return SessionStatus.EXPIRED if ended else SessionStatus.STARTED, None, None, True
    if decision and status != SessionStatus.RESULT_AVAILABLE:
        raise ValueError("a decision without a result")
    if decision not in _DECISIONS and _NAME.fullmatch(decision):
        return SessionStatus(status), None, failure or UNKNOWN_DECISION, True
    return SessionStatus(status), LivenessDecision(decision) if "decision" in values else None, failure, False


def _decided(entry: object) -> tuple[int, str, int]:
    match entry:
        case [at, decision, int(attempt)]:
            return columns.moment(at), columns.text(decision), attempt
    raise ValueError("not a time, a decision and the id of an attempt")


def _timed(entry: object) -> tuple[int, str]:
    match entry:
        # A name that only another release knows is kept as it is.
        case [at, name]:
            return columns.moment(at), columns.text(name)
    raise ValueError("not a time and a name")
