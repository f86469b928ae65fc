"""Auditing a session: Face's own entries where there are any, else the history that the broker kept."""

from dataclasses import dataclass
from typing import Literal

from shared.app import App
from shared.errors import SessionNotFound, UpstreamSessionGone
from shared.face import session_ids
from shared.face.model import AuditedFace, AuditEntry, AuditPage
from shared.sessions.record import SessionRecord


@dataclass(frozen=True, slots=True)
class Audit:
    """Entries of one session, the oldest first, and whose they are: ids of one source mean nothing in the other."""

    session_id: str
    source: Literal["upstream", "record"]
    entries: tuple[AuditEntry, ...]


async def audit_session(app: App, session_id: str, page: AuditPage, request_id: str) -> Audit:
    """Answer a page of a session's audit, revoked sessions included.

    Raises `SessionNotFound` for a session that this broker did not make, or has purged, and what the upstream and the
    store say. A session that Face does not know any more is answered from the record, which outlives it.
    """
    parsed = session_ids.parse(session_id)
    stored = await app.sessions.get(parsed) if parsed else None
    if stored is None:
        raise SessionNotFound
    record = stored.record
    entries = None if record.deleted_upstream else await _upstream(app, record, page, request_id)
    if entries is None:
        return Audit(record.session_id, "record", _page(record.audit(), page))
    return Audit(record.session_id, "upstream", entries)


async def _upstream(
    app: App, record: SessionRecord, page: AuditPage, request_id: str
) -> tuple[AuditEntry, ...] | None:
    if not isinstance(app.face, AuditedFace):
        return None
    try:
        return await app.face.audit(record.session_id, page, request_id, api_version=record.face_api_version)
    except UpstreamSessionGone:
        return None


def _page(entries: tuple[AuditEntry, ...], page: AuditPage) -> tuple[AuditEntry, ...]:
    return tuple(entry for entry in entries if entry.id > page.start)[: page.top]
