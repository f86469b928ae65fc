"""The caller of a request, and finding a session for it."""

from dataclasses import dataclass

from shared.errors import SessionNotFound
from shared.sessions.store import Sessions, Stored
from shared.text import parse_session_id
from shared.throttle.limiter import Limiter
from shared.throttle.subjects import Subjects


@dataclass(frozen=True, slots=True)
class Caller:
    """`principal` is the signed-in caller, `network` the address that limits count by; None if unknown."""

    principal: str | None = None
    network: str | None = None


class Access:
    """Finds sessions for callers. Unknown, foreign, revoked and purged sessions are all the same `SessionNotFound`."""

    def __init__(self, sessions: Sessions, limiter: Limiter, subjects: Subjects) -> None:
        self._sessions = sessions
        self._limiter = limiter
        self._subjects = subjects

    async def find(
        self, session_id: str, auth_token: str | None, caller: Caller, *, also_revoked: bool = False
    ) -> Stored:
        """Read the record of a session that was given to this caller; raises `SessionNotFound`.

        Each miss is charged to the caller's address, against guessing of ids and tokens: `ClientThrottled`.
        """
        if auth_token and (stored := await self._lookup(session_id)):
            record = stored.record
            if record.is_held_by(auth_token, caller.principal) and (also_revoked or not record.revoked):
                return stored
        await self._limiter.admit(await self._subjects.of_miss(caller.network))
        raise SessionNotFound

    async def find_any(self, session_id: str) -> Stored:
        """Read the record of any session, for a server that proved itself; raises `SessionNotFound`."""
        if stored := await self._lookup(session_id):
            return stored
        raise SessionNotFound

    async def _lookup(self, session_id: str) -> Stored | None:
        parsed = parse_session_id(session_id)
        return await self._sessions.get(parsed) if parsed else None
