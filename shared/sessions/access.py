"""Finding a session for who asks for it: unknown, foreign, revoked and purged ones are all the same."""

from shared.bootstrap import App
from shared.callers import Caller
from shared.errors import SessionNotFound
from shared.face import session_ids
from shared.sessions.store import Stored


async def find_held(
    app: App, session_id: str, auth_token: str | None, caller: Caller, *, also_revoked: bool = False
) -> Stored:
    """The record of a session that this caller holds the token of; raises `SessionNotFound`.

    Every miss is charged to the caller's address, so that ids and tokens cannot be tried out: `ClientThrottled`.
    """
    stored = await _lookup(app, session_id) if auth_token else None
    held = stored and stored.record.is_held_by(auth_token or "", caller.principal)
    if stored and held and (also_revoked or not stored.record.revoked):
        return stored
    await app.limiter.admit(await app.limits.of_miss(caller))
    raise SessionNotFound


async def _lookup(app: App, session_id: str) -> Stored | None:
    parsed = session_ids.parse(session_id)
    return await app.sessions.get(parsed) if parsed else None
