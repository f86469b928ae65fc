"""`ops session`: show what is kept of one, without what could be used to read it, or have its result collected."""

from local.ops.failures import QUEUE_WRITER, TABLE_READER, Failure, explained
from local.ops.output import JsonValue, Output, shown
from shared.events.cloud_event import event_of
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import RESULTS_QUEUE, MessageQueue
from shared.sessions.record import SessionRecord
from shared.sessions.store import from_entity
from shared.storage.port import Entity, EntityStore, Table
from shared.text import rfc3339


async def show_session(store: EntityStore, out: Output, session_id: str) -> None:
    """Show the record of a session; raises `Failure` where there is none. Face is not asked."""
    entity, record = await _found(store, session_id)
    fields = _fields(record, entity.expires_at)
    out.tell("\n".join(_lines(fields, record)), **fields)


async def collect_session(store: EntityStore, queue: MessageQueue, out: Output, session_id: str) -> None:
    """Put a message into the queue of the app for a session whose event is still to come.

    It takes the place of one that was lost; where there is one, both lead to the same end. Raises `Failure` where
    there is no record, or no event to come.
    """
    _, record = await _found(store, session_id)
    if record.published_at is not None:
        raise Failure(f"session {session_id}: its event was published: see ops events republish")
    if not record.owes_event:
        raise Failure(f"session {session_id}: it was revoked before its end, and has no event")
    message = CollectMessage(session_id, Reason.REPLAY, traceparent=record.traceparent)
    with explained("the queue", QUEUE_WRITER):
        await queue.send(message.to_text(), 0)
    out.tell(
        f"session {session_id}  status {record.status.value}: a message is in {RESULTS_QUEUE}",
        sessionId=session_id,
        status=record.status.value,
        outcome="asked for",
    )


async def _found(store: EntityStore, session_id: str) -> tuple[Entity, SessionRecord]:
    with explained("the sessions", TABLE_READER):
        entity = await store.get(Table.SESSIONS, session_id)
        if entity is None:
            raise Failure(
                f"session {session_id}: there is no record: never made here, undone, or older than kept"
            )
        return entity, from_entity(entity).record


def _fields(record: SessionRecord, expires_at: int) -> dict[str, JsonValue]:
    """By an allow-list: the token's hash is not for anybody, and a field that is new is not shown unless added here."""
    failure = record.failure
    return {
        "sessionId": record.session_id,
        "status": record.status.value,
        "livenessDecision": record.decision.value if record.decision else None,
        "passed": record.passed(None) if record.final else None,
        "attempts": record.attempts,
        "failure": {"code": failure.code, "message": failure.message} if failure else None,
        "revoked": record.revoked,
        "clientReference": record.client_reference,
        "principal": record.principal,
        "device": record.device,
        "digest": record.digest,
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
        "history": [{"time": rfc3339(at), "step": step.value} for at, step in record.history],
    }


def _lines(fields: dict[str, JsonValue], record: SessionRecord) -> list[str]:
    plain = [f"{name:<22}{_text(value)}" for name, value in fields.items() if name != "history"]
    return [*plain, "history", *(f"  {rfc3339(at)}  {step.value}" for at, step in record.history)]


def _text(value: JsonValue) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return shown(f"{value['code']}: {value['message']}")
    return shown(str(value))


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)
