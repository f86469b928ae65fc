"""Session records in the entity store."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from shared.errors import EntityChanged, SessionNotFound, StorageUnavailable
from shared.face.model import Failure, LivenessDecision, SessionStatus
from shared.sessions.record import SessionRecord, Step
from shared.storage.port import Entity, EntityStore, Table, Value

_DAY_MS = 86_400_000
_TIMES_WHILE_OWED = 2
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read, with the ETag that a replacement needs."""

    record: SessionRecord
    etag: str


class Sessions:
    """Reads and writes session records. A record is kept for `retention_days` after its creation.

    One whose event is not published yet is kept twice as long, so that an operator has time to find out why.
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
        """Extend the expiry of a row if retention was raised since it was written; True if that was done.

        `due` is the row's expiry. Raises `EntityChanged`.
        """
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
        return Stored(_to_record(entity.key, dict(entity.values)), entity.etag)
    except (KeyError, TypeError, ValueError) as fault:
        raise StorageUnavailable("a session record cannot be read", lasting=True) from fault


def retention_days_of(entity: Entity) -> int:
    """The retention in days that this row was written with; raises `StorageUnavailable`."""
    record = from_entity(entity).record
    return (entity.expires_at - record.created_at) // (_DAY_MS * _times_kept(record))


def _times_kept(record: SessionRecord) -> int:
    return _TIMES_WHILE_OWED if record.owes_event else 1


def _to_values(record: SessionRecord) -> dict[str, Value]:
    values: dict[str, Value | None] = {
        "token_hash": record.token_hash,
        "device": record.device,
        "created_at": record.created_at,
        "token_expires_at": record.token_expires_at,
        "principal": record.principal,
        "client_reference": record.client_reference,
        "face_api_version": record.face_api_version,
        "region": record.region,
        "traceparent": record.traceparent,
        "status": record.status.value,
        "decision": record.decision.value if record.decision else None,
        "digest": record.digest,
        "attempts": record.attempts,
        "failure_code": record.failure.code if record.failure else None,
        "failure_message": record.failure.message if record.failure else None,
        "completed_at": record.completed_at,
        "upstream_request_id": record.upstream_request_id,
        "revoked": record.revoked,
        "published_at": record.published_at,
        "deleted_upstream": record.deleted_upstream,
        "reads": json.dumps(record.reads) if record.reads else None,
        "history": json.dumps(record.history),
    }
    return {name: value for name, value in values.items() if value is not None}


def _to_record(session_id: str, values: dict[str, Value]) -> SessionRecord:
    decision = values.get("decision")
    failure_code = values.get("failure_code")
    return SessionRecord(
        session_id=session_id,
        token_hash=str(values["token_hash"]),
        device=str(values["device"]),
        created_at=int(values["created_at"]),
        token_expires_at=int(values["token_expires_at"]),
        principal=cast("str | None", values.get("principal")),
        client_reference=cast("str | None", values.get("client_reference")),
        face_api_version=str(values["face_api_version"]),
        region=str(values.get("region", "unknown")),
        traceparent=cast("str | None", values.get("traceparent")),
        status=SessionStatus(str(values["status"])),
        decision=LivenessDecision(str(decision)) if decision is not None else None,
        digest=cast("str | None", values.get("digest")),
        attempts=int(values["attempts"]),
        failure=Failure(str(failure_code), str(values["failure_message"]))
        if failure_code is not None
        else None,
        completed_at=cast("int | None", values.get("completed_at")),
        upstream_request_id=cast("str | None", values.get("upstream_request_id")),
        revoked=bool(values["revoked"]),
        published_at=cast("int | None", values.get("published_at")),
        deleted_upstream=bool(values["deleted_upstream"]),
        reads=tuple(json.loads(str(values.get("reads", "[]")))),
        history=tuple((int(at), Step(step)) for at, step in json.loads(str(values["history"]))),
    )
