"""Revoking a session: its result cannot be read any more, and its token stops working at Face."""

import logging

from shared.access import Caller
from shared.app import App
from shared.errors import UpstreamSessionGone
from shared.face.model import BY_BROKER, Reader
from shared.sessions.store import Stored
from shared.telemetry import log_event

_log = logging.getLogger(__name__)


async def revoke_session(
    app: App, session_id: str, auth_token: str | None, caller: Caller, request_id: str
) -> None:
    """Revoke a session, also for the second time; raises `SessionNotFound`, and the errors of Face and the store.

    Face is read first, so that nobody can hide a check by deleting it: an attempt that was made is kept and charged,
    and the session has its event. If Face cannot be read, the session stays as it is. Then the record is written. If
    Face fails to delete, the session is revoked here already, and the same call again deletes it there.

    Until Face has deleted the session its token works there. So Face is read again right before. If that read fails,
    nothing is deleted, and the caller gets the error: the same call again reads and deletes, and so does the collector.

    Only the first of these calls to Face waits for its turn: below one call a second, none of the others would get one.

    A deletion takes the result with it (v1.1-preview.1: "deletes all session data"; v1.2: 404). So an attempt that Face
    decides after the last read and before the deletion is lost.
    """
    found = await app.access.find(session_id, auth_token, caller, also_revoked=True)
    stored = found if found.record.revoked else await _read(app, found, request_id, BY_BROKER)
    stored = await app.sessions.change(stored, lambda record: record.as_revoked(app.clock()))
    if not found.record.revoked:
        log_event(
            _log,
            logging.INFO,
            "session_revoked",
            sessionId=stored.record.session_id,
            requestId=request_id,
            device=stored.record.device,
            caller=stored.record.caller,
            address=await app.pseudonyms.of_address(caller.network),
        )
    stored = await _read(app, stored, request_id, Reader(follows=not found.record.revoked))
    await app.checks.hasten(found.record, stored.record)
    if not stored.record.deleted_upstream:
        await app.checks.delete(stored, request_id, follows=not found.record.closed)


async def _read(app: App, stored: Stored, request_id: str, reader: Reader) -> Stored:
    """The record with what Face knows by now; as it is if it is closed, or Face does not know the session."""
    if stored.record.closed:
        return stored
    try:
        return await app.checks.read(stored, request_id, reader)
    except UpstreamSessionGone:
        # Another request may have ended the session meanwhile, and deleted it.
        return await app.sessions.reload(stored.record.session_id)
