"""Session records in the entity store."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import EntityChanged, SessionNotFound, StorageUnavailable
from shared.face.model import Failure, LivenessDecision, SessionStatus
from shared.sessions.record import SessionRecord, Step
from shared.storage.port import Entity, EntityStore, Table, Value

_DAY_MS = 86_400_000
_TRIES = 5
_COLUMNS: Mapping[str, Callable[[Value], Any]] = {
    "token_hash": str,
    "device": str,
    "created_at": int,
    "token_expires_at": int,
    "caller": str,
    "principal": str,
    "client_reference": str,
    "face_api_version": str,
    "region": str,
    "traceparent": str,
    "digest": str,
    "attempts": int,
    "completed_at": int,
    "upstream_request_id": str,
    "revoked": bool,
    "published_at": int,
    "deleted_upstream": bool,
}
"""The fields of a record that a row holds as they are; None is an absent column."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read, with the ETag that a replacement needs."""

    record: SessionRecord
    etag: str


class Sessions:
    """Reads and writes session records, which are kept for `retention_days` after their creation.

    Twice as long while the event is not published, so that an operator has time to find out why.
    """

    def __init__(self, store: EntityStore, retention_days: int) -> None:
        self._store = store
        self._retention_ms = retention_days * _DAY_MS

    async def get(self, session_id: str) -> Stored | None:
        """Read the record of a session, or None."""
        entity = await self._store.get(Table.SESSIONS, session_id)
        return from_entity(entity) if entity else None

    async def add(self, record: SessionRecord) -> None:
        """Keep the record of a new session; raises `EntityExists`."""
        await self._store.insert(Table.SESSIONS, self._to_entity(record, ""))

    async def replace(self, stored: Stored, record: SessionRecord) -> Stored:
        """Replace the record that was read; raises `EntityChanged` if another writer came first."""
        if record == stored.record:
            return stored
        written = await self._store.replace(Table.SESSIONS, self._to_entity(record, stored.etag))
        return Stored(record, written.etag)

    async def remove(self, session_id: str) -> None:
        """Delete the record of a session."""
        await self._store.delete(Table.SESSIONS, session_id)

    async def put_off(self, stored: Stored, due: int) -> bool:
        """Extend the expiry `due` of a row if retention was raised since; True if so. Raises `EntityChanged`."""
        renewed = self._to_entity(stored.record, stored.etag)
        if renewed.expires_at <= due:
            return False
        await self._store.replace(Table.SESSIONS, renewed)
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

    def _to_entity(self, record: SessionRecord, etag: str) -> Entity:
        kept_for = self._retention_ms * _times_kept(record)
        return Entity(record.session_id, _to_values(record), record.created_at + kept_for, etag)


def from_entity(entity: Entity) -> Stored:
    """Read a record; raises `StorageUnavailable` for a row that is not a record."""
    try:
        return Stored(_to_record(entity.key, entity.values), entity.etag)
    except (KeyError, TypeError, ValueError) as fault:
        raise StorageUnavailable("a session record cannot be read", lasting=True) from fault


def retention_days_of(entity: Entity) -> int:
    """The retention in days that this row was written with; raises `StorageUnavailable`."""
    record = from_entity(entity).record
    return (entity.expires_at - record.created_at) // (_DAY_MS * _times_kept(record))


def _times_kept(record: SessionRecord) -> int:
    return 2 if record.owes_event else 1


def _to_values(record: SessionRecord) -> dict[str, Value]:
    values: dict[str, Value | None] = {
        **{name: getattr(record, name) for name in _COLUMNS},
        "status": record.status.value,
        "decision": record.decision.value if record.decision else None,
        "failure_code": record.failure.code if record.failure else None,
        "failure_message": record.failure.message if record.failure else None,
        "reads": json.dumps(record.reads) if record.reads else None,
        "history": json.dumps(record.history),
    }
    return {name: value for name, value in values.items() if value is not None}


def _to_record(session_id: str, values: Mapping[str, Value]) -> SessionRecord:
    plain = {name: kind(values[name]) for name, kind in _COLUMNS.items() if name in values}
    has_failure = "failure_code" in values
    return SessionRecord(
        session_id=session_id,
        **{"region": "unknown"} | plain,
        status=SessionStatus(str(values["status"])),
        decision=LivenessDecision(str(values["decision"])) if "decision" in values else None,
        failure=Failure(str(values["failure_code"]), str(values["failure_message"])) if has_failure else None,
        reads=tuple(json.loads(str(values.get("reads", "[]")))),
        history=tuple((int(at), Step(step)) for at, step in json.loads(str(values["history"]))),
    )
