"""Revoking a session: its result cannot be read any more, and its token stops working at Face."""

import logging

from shared.access import Caller
from shared.app import App
from shared.telemetry import log_event

_log = logging.getLogger(__name__)


async def revoke_session(
    app: App, session_id: str, auth_token: str | None, caller: Caller, request_id: str
) -> None:
    """Revoke a session, also for the second time; raises `SessionNotFound`, and the errors of Face and the store.

    The record is written first. If Face fails, the session is revoked here already, and the same call again deletes it
    there.
    """
    stored = await app.access.find(session_id, auth_token, caller, also_revoked=True)
    stored = await app.sessions.change(stored, lambda record: record.as_revoked(app.clock()))
    record = stored.record
    log_event(_log, logging.INFO, "session_revoked", sessionId=record.session_id)
    if not record.deleted_upstream:
        await app.face.delete(record.session_id, request_id, api_version=record.face_api_version)
        await app.sessions.change(stored, lambda record: record.as_deleted_upstream(app.clock()))
