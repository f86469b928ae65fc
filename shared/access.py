"""The caller of a request, and finding a session for it."""

import logging
from contextlib import AsyncExitStack

from shared.errors import SessionNotFound
from shared.pseudonyms import Pseudonyms
from shared.sessions.store import Sessions, Stored
from shared.telemetry import FloodLog
from shared.text import Clock, parse_session_id
from shared.throttle.limiter import Limiter
from shared.throttle.subjects import Subjects
from shared.values import immutable

OPERATE = "Liveness.Operate"
"""The role of servers: they create sessions for others, and read and audit any session."""

_log = logging.getLogger(__name__)


@immutable
class Caller:
    """Who sends a request. Each field is None where callers are not signed in.

    `principal` names the signed-in caller: issuer and subject, and tenant and object id for Entra. `network` is the
    address that limits count by. `client_id` is the application that the token was issued to. `client_reference` is
    the transaction of a token that is a grant for one.
    """

    principal: str | None = None
    network: str | None = None
    issuer: str | None = None
    client_id: str | None = None
    roles: frozenset[str] = frozenset()
    client_reference: str | None = None

    @property
    def operator(self) -> bool:
        """Whether the caller is a server with the role for it."""
        return OPERATE in self.roles

    @property
    def authority(self) -> str | None:
        """What vouches for the caller: the issuer, or for Entra the tenant, which has an issuer for each version."""
        return self.principal.split(" ")[0] if self.principal else None

    async def pseudonym(self, pseudonyms: Pseudonyms) -> str | None:
        """The keyed hash of the principal, for rows and logs; raises `KeyUnavailable`."""
        return None if self.principal is None else await pseudonyms.of("principal", self.principal)

    async def pseudonyms(self, pseudonyms: Pseudonyms) -> tuple[str, ...]:
        """The keyed hashes of the principal under each pepper, for finding what is its own; raises `KeyUnavailable`."""
        if self.principal is None:
            return ()
        return await pseudonyms.all_of("principal", self.principal)


class Access:
    """Finds sessions for callers. Unknown, foreign, revoked and purged sessions are all the same `SessionNotFound`."""

    def __init__(
        self,
        sessions: Sessions,
        limiter: Limiter,
        subjects: Subjects,
        pseudonyms: Pseudonyms,
        flood_log: FloodLog,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._limiter = limiter
        self._subjects = subjects
        self._pseudonyms = pseudonyms
        self._flood_log = flood_log
        self._clock = clock

    async def find(
        self, session_id: str, auth_token: str | None, caller: Caller, *, also_revoked: bool = False
    ) -> Stored:
        """Read the record of a session that was given to this caller; raises `SessionNotFound`.

        Each miss is charged, against guessing of ids and tokens: `ClientThrottled`.
        """
        if auth_token and (stored := await self._lookup(_canonical(session_id))):
            record = stored.record
            callers = await caller.pseudonyms(self._pseudonyms)
            is_held = record.is_held_by(auth_token, callers, self._clock())
            if is_held and (also_revoked or not record.revoked):
                return stored
        await self.charge_miss(caller)
        raise SessionNotFound

    async def charge_miss(self, caller: Caller) -> None:
        """Count a wrong token against the signed-in caller, or else the address; raises `ClientThrottled`."""
        callers = await caller.pseudonyms(self._pseudonyms)
        pseudonym = next(iter(callers), None)
        address = await self._pseudonyms.of_address(caller.network)
        subjects = await self._subjects.of_misses(callers, caller.network)
        self._limiter.require_not_refused(subjects)
        # If a later one refuses, or would refuse if it did not only observe, the earlier charges are taken back.
        async with AsyncExitStack() as charged:
            for subject in subjects:
                admission = await self._limiter.admit([subject], caller=pseudonym, address=address)
                if not admission.charges:
                    return
                charged.push_async_callback(self._limiter.refund, admission)
            charged.pop_all()

    async def find_any(self, session_id: str, caller: Caller, request_id: str) -> Stored:
        """Read the record of any session, for a server that proved itself, and log that; raises `SessionNotFound`."""
        known_id = _canonical(session_id)
        stored = await self._lookup(known_id)
        pseudonym = await caller.pseudonym(self._pseudonyms)
        # Each session that was found has a line with its reader, however many others were read.
        self._flood_log.write(
            _log,
            logging.INFO,
            "session_accessed_by_server",
            (pseudonym or "", known_id if known_id and stored else ""),
            None,
            sessionId=known_id,
            caller=pseudonym,
            requestId=request_id,
        )
        if stored is None:
            raise SessionNotFound
        return stored

    async def _lookup(self, session_id: str | None) -> Stored | None:
        return await self._sessions.get(session_id) if session_id else None


def _canonical(session_id: str) -> str | None:
    # Some platforms write every GUID in capitals.
    return parse_session_id(session_id.lower())
