"""Revoking a session: nobody reads it any more, and its token stops working at Face."""

from dataclasses import replace

from shared.bootstrap import App
from shared.callers import Caller
from shared.sessions.access import find_held
from shared.sessions.record import SessionRecord, Step


async def revoke_session(
    app: App, session_id: str, auth_token: str | None, caller: Caller, request_id: str
) -> None:
    """Revoke a session, whether or not that was done before; raises `SessionNotFound`.

    The record comes first: if the upstream fails, the session is closed here already, and the same call again deletes
    it there.
    """
    stored = await find_held(app, session_id, auth_token, caller, also_revoked=True)
    stored = await app.sessions.change(stored, lambda record: _revoked(record, app.clock()))
    if not stored.record.deleted_upstream:
        await app.face.delete(stored.record.session_id, request_id)
        await app.sessions.change(stored, lambda record: _deleted(record, app.clock()))


def _revoked(record: SessionRecord, now: int) -> SessionRecord:
    return record if record.revoked else replace(record, revoked=True).noted(Step.REVOKED, now)


def _deleted(record: SessionRecord, now: int) -> SessionRecord:
    if record.deleted_upstream:
        return record
    return replace(record, deleted_upstream=True).noted(Step.DELETED_UPSTREAM, now)
