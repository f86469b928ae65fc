"""Ending the session whose phone uses up Face's rate, found by elimination.

Face's 429s do not tell whose calls they are. An honest check ends within about 90 seconds after its start. So while
Face has no room for all calls, a check that goes on for much longer is suspect. Each instance knows the sessions that
it made or was asked for. It reads one open session at a time at Face: to learn that the check was started, and to end
it if it still goes on two minutes later.
"""

import logging
import uuid
from contextlib import suppress
from typing import Final

from shared.background import Background
from shared.checks import Checks
from shared.errors import Failed, UpstreamSessionGone
from shared.face.model import Face, Reader, SessionStatus
from shared.sessions.record import SessionRecord, Step
from shared.sessions.store import Sessions, Stored
from shared.telemetry import log_event
from shared.text import Clock

LONGEST_CHECK_MS: Final = 120_000
"""For how long a check may go on. It takes some 12 s, and up to 90 s where Face refuses calls of its phone."""

LOOK_AFTER_MS: Final = 60_000
"""The age from which an open session is read, and how long after that it is read again."""

LASTING_SECONDS: Final = 60.0
"""For how long Face must have had no room. A busy minute makes nobody suspect."""

CALLS_FOR_ONE: Final = 5.0
"""A session is read after as many calls as this instance may make now: that takes a fifth of its rate at most."""

MOST_KNOWN: Final = 2_000
_RECORDS_AT_ONCE = 10

_log = logging.getLogger(__name__)


class Suspects:
    """The open sessions that this instance knows, at most 2,000, and when to look at each again."""

    def __init__(
        self, sessions: Sessions, face: Face, checks: Checks, background: Background, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._face = face
        self._checks = checks
        self._background = background
        self._clock = clock
        # By session: false if its check was seen in progress, so that it comes first; and when to look at it.
        self._open: dict[str, tuple[bool, int]] = {}
        self._next_at = 0

    def know(self, record: SessionRecord) -> None:
        """Remember an open session, or forget one that has ended."""
        if record.final or record.revoked:
            self._open.pop(record.session_id, None)
            return
        self._open.setdefault(record.session_id, (True, record.created_at + LOOK_AFTER_MS))
        if len(self._open) > MOST_KNOWN:
            del self._open[next(iter(self._open))]

    def examine(self) -> None:
        """Look at a session in the background, if Face has had no room for long and it is time for the next one."""
        now = self._clock()
        if now < self._next_at or self._face.throttled_for < LASTING_SECONDS:
            return
        self._next_at = now + round(CALLS_FOR_ONE * 1000 / self._face.rate)
        self._background.start(self._examine_one(now))

    async def _examine_one(self, now: int) -> None:
        with suppress(Failed):
            if found := await self._most_suspect(now):
                session_id, request_id = found.record.session_id, str(uuid.uuid4())
                try:
                    # Below one call a second, a read that waits for its turn would get none.
                    stored = await self._checks.read(found, request_id, Reader(follows=True))
                except UpstreamSessionGone:
                    self._open.pop(session_id, None)
                    return
                record = stored.record
                since = record.started_at if record.status is SessionStatus.STARTED else None
                look_at = now + LOOK_AFTER_MS if since is None else since + LONGEST_CHECK_MS
                self._open[session_id] = (since is None, look_at)
                self.know(record)
                await self._checks.hasten(found.record, record)
                if since is not None and look_at <= now:
                    await self._end(stored, request_id)

    async def _most_suspect(self, now: int) -> Stored | None:
        """The session to look at next: one whose check was seen to go on, or else the one that is due for longest."""
        due = sorted([(*look, session_id) for session_id, look in self._open.items() if look[1] <= now])
        for *_, session_id in due[:_RECORDS_AT_ONCE]:
            # A session that cannot be read now waits behind the others that are due.
            self._open[session_id] = (True, now)
            stored = await self._sessions.get(session_id)
            if stored and not (stored.record.final or stored.record.revoked or stored.record.unread):
                return stored
            self._open.pop(session_id, None)
        return None

    async def _end(self, found: Stored, request_id: str) -> None:
        """End a session and its token. Its event follows; if the deletion fails, the collector deletes it."""
        now = self._clock()
        stored = await self._sessions.change(found, lambda record: record.cut_off(now))
        record = stored.record
        if (now, Step.REVOKED) not in record.history:
            # The check ended, or its phone revoked the session, after Face was asked.
            return
        log_event(
            _log,
            logging.WARNING,
            "session_cut_off",
            sessionId=record.session_id,
            requestId=request_id,
            device=record.device,
            caller=record.caller,
            seconds=(now - record.created_at) // 1000,
        )
        await self._checks.hasten(found.record, record)
        await self._checks.delete(stored, request_id, follows=True)
