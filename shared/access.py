"""Who calls, and which session a caller may see."""

from dataclasses import dataclass

from shared.errors import SessionNotFound
from shared.face import session_ids
from shared.sessions.store import Sessions, Stored
from shared.throttle.limiter import Limiter
from shared.throttle.subjects import Subjects


@dataclass(frozen=True, slots=True)
class Caller:
    """`principal` is the signed-in caller, `network` the address that limits count by; None where unknown."""

    principal: str | None = None
    network: str | None = None


class Access:
    """Finds sessions for their callers: unknown, foreign, revoked and purged sessions are all the same 404."""

    def __init__(self, sessions: Sessions, limiter: Limiter, subjects: Subjects) -> None:
        self._sessions = sessions
        self._limiter = limiter
        self._subjects = subjects

    async def find(
        self, session_id: str, auth_token: str | None, caller: Caller, *, also_revoked: bool = False
    ) -> Stored:
        """Read the record of a session whose token this caller holds; raises `SessionNotFound`.

        Each miss is charged to the caller's address, so that nobody can try out ids and tokens: `ClientThrottled`.
        """
        stored = await self._lookup(session_id) if auth_token else None
        held = stored and stored.record.is_held_by(auth_token or "", caller.principal)
        if stored and held and (also_revoked or not stored.record.revoked):
            return stored
        await self._limiter.admit(await self._subjects.of_miss(caller.network))
        raise SessionNotFound

    async def _lookup(self, session_id: str) -> Stored | None:
        parsed = session_ids.parse(session_id)
        return await self._sessions.get(parsed) if parsed else None
