"""Auditing a session: Face's own entries where it has any, else the history in the broker's record."""

from dataclasses import replace
from typing import Literal

from shared.access import Caller
from shared.app import App
from shared.errors import UpstreamSessionGone
from shared.face.model import AuditEntry, AuditPage
from shared.sessions.record import SessionRecord
from shared.values import immutable


@immutable
class Audit:
    """Entries of one session, oldest first, and their source. The ids of one source mean nothing in the other."""

    session_id: str
    source: Literal["upstream", "record"]
    entries: tuple[AuditEntry, ...]


async def audit_session(app: App, session_id: str, page: AuditPage, caller: Caller, request_id: str) -> Audit:
    """Return a page of a session's audit, also of a revoked session.

    Raises `SessionNotFound` for a session that this broker did not make, or has purged, and the errors of Face and
    the store. A session that Face has forgotten is answered from the record, which is kept longer.
    No entry has a digest while the phone still has to send it.
    """
    record = (await app.access.find_any(session_id, caller, request_id)).record
    entries = await _upstream_entries(app, record, page, request_id)
    source: Literal["upstream", "record"] = "upstream"
    if entries is None:
        following = [entry for entry in record.audit() if entry.id > page.start]
        source, entries = "record", tuple(following[: page.top])
    if record.hides_digest:
        entries = tuple([replace(entry, digest=None) for entry in entries])
    return Audit(record.session_id, source, entries)


async def _upstream_entries(
    app: App, record: SessionRecord, page: AuditPage, request_id: str
) -> tuple[AuditEntry, ...] | None:
    if record.deleted_upstream:
        return None
    try:
        return await app.face.audit(record.session_id, page, request_id, api_version=record.face_api_version)
    except UpstreamSessionGone:
        return None
