"""The sessions that Azure Face holds, and the rules of their life. No I/O."""

import base64
import itertools
import secrets
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from local.simulator import answers, scenarios
from local.simulator.answers import Refused
from local.simulator.scenarios import Outcome, Scenario
from shared.text import Clock

SESSION_LIFE_MS = 48 * 3600 * 1000
"""A session expires 48 hours after it was created (the page of the create operation)."""

REMEMBERED = 10_000
"""The number of deleted sessions that are kept."""

Status = Literal["NotStarted", "Started", "ResultAvailable"]


def make_auth_token() -> str:
    """Return a random token that looks like a JSON web token."""
    header = base64.urlsafe_b64encode(b'{"alg":"ES256","kid":"simulator","typ":"JWT"}').decode().rstrip("=")
    return f"{header}.{secrets.token_urlsafe(96)}.{secrets.token_urlsafe(64)}"


def make_image_id() -> str:
    """Return a random id of a session image: 44 characters, as in published examples."""
    return secrets.token_urlsafe(33)


def make_digest() -> str:
    """Return a random digest: 64 hexadecimal digits in upper case, as in published examples."""
    return secrets.token_hex(32).upper()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, with the phone's call as the audit entry shows it.

    `attempt_id` counts from 1 in its session, `entry_id` from 1 in the resource. `image_id` is that of the session
    image, if there is one.
    """

    attempt_id: int
    entry_id: int
    outcome: Outcome
    digest: str | None
    image_id: str | None
    received_ms: int
    request_id: str
    client_request_id: str
    user_agent: str
    address: str


@dataclass(slots=True)
class Session:
    """A session as it is now.

    `order` is the body of its create request, with the defaults of Face. `monitors_abuse` is the resource's setting at
    that time. `attempts` are the oldest first, and `reads` counts the reads of its result.
    """

    session_id: str
    auth_token: str = field(repr=False)
    created_ms: int
    order: Mapping[str, Any]
    device_id: str | None
    monitors_abuse: bool = True
    started_ms: int | None = None
    attempts: list[Attempt] = field(default_factory=list)
    canceled: bool = False
    reads: int = 0
    deleted: bool = False

    @property
    def scenario(self) -> Scenario:
        """The scenario that the device id chooses."""
        return scenarios.of_device(self.device_id)

    @property
    def status(self) -> Status:
        """How far the phone has come."""
        if self.attempts:
            return "ResultAvailable"
        return "NotStarted" if self.started_ms is None else "Started"

    def token_expired(self, now_ms: int) -> bool:
        """Tell whether the auth token's lifetime is over."""
        return now_ms >= self.created_ms + int(self.order["authTokenTimeToLiveInSeconds"]) * 1000


class Sessions:
    """The sessions of one Face resource. Whether it monitors abuse is a setting of v1.3-preview.1."""

    def __init__(self, clock: Clock) -> None:
        self.monitors_abuse = True
        self._clock = clock
        self._stored: dict[str, Session] = {}
        self._by_token: dict[str, Session] = {}
        self._deleted: deque[Session] = deque(maxlen=REMEMBERED)
        self._entry_ids = itertools.count(1)

    @property
    def stored(self) -> tuple[Session, ...]:
        """The sessions that exist, oldest first."""
        self._forget_expired()
        return tuple(self._stored.values())

    @property
    def deleted(self) -> tuple[Session, ...]:
        """The deleted sessions that are remembered, in the order of their deletion."""
        return tuple(self._deleted)

    def create(self, order: Mapping[str, Any]) -> Session:
        """Store a new session."""
        device_id = order.get("deviceCorrelationId")
        session = Session(
            str(uuid.uuid4()), make_auth_token(), self._clock(), order, device_id, self.monitors_abuse
        )
        self._stored[session.session_id] = session
        self._by_token[session.auth_token] = session
        return session

    def find(self, session_id: str) -> Session:
        """Answer the session; raises `Refused` (404) for one that never existed, was deleted or has expired."""
        self._forget_expired()
        session = self._stored.get(session_id)
        if session is None:
            raise Refused(answers.SESSION_NOT_FOUND)
        return session

    def find_by_token(self, auth_token: str) -> Session:
        """Answer the session of a token; raises `Refused` (401) if the token is not valid (any more)."""
        self._forget_expired()
        session = self._by_token.get(auth_token)
        if session is None or session.canceled or session.token_expired(self._clock()):
            raise Refused(answers.TOKEN_REFUSED)
        return session

    def require_image(self, image_id: str) -> None:
        """Raise `Refused` (404) unless a session has an image with this id."""
        images = (attempt.image_id for session in self.stored for attempt in session.attempts)
        if image_id not in images:
            raise Refused(answers.SESSION_NOT_FOUND)

    def start(self, session: Session) -> None:
        """Start the session, unless it was started before."""
        if session.started_ms is None:
            session.started_ms = self._clock()

    def attempt(self, session: Session, outcome: Outcome, **call: str) -> Attempt:
        """Add an attempt, made by a phone's call; raises `Refused` (403) if the session has no attempts left."""
        if len(session.attempts) >= session.order["numberOfClientAttemptsAllowed"]:
            raise Refused(answers.NO_ATTEMPTS_LEFT)
        attempt_id, entry_id = len(session.attempts) + 1, next(self._entry_ids)
        digest = make_digest() if outcome.has_digest else None
        has_image = outcome.failure is None and session.order.get("enableSessionImage")
        image_id = make_image_id() if has_image else None
        attempt = Attempt(attempt_id, entry_id, outcome, digest, image_id, self._clock(), **call)
        session.attempts.append(attempt)
        return attempt

    def delete(self, session: Session) -> None:
        """Remove the session; its token stops working."""
        self._remove(session)
        session.deleted = True
        self._deleted.append(session)

    def _forget_expired(self) -> None:
        """Remove what is too old. Sessions are stored in the order of their creation, and all live equally long."""
        expires_before = self._clock() - SESSION_LIFE_MS
        while (oldest := next(iter(self._stored.values()), None)) and oldest.created_ms <= expires_before:
            self._remove(oldest)

    def _remove(self, session: Session) -> None:
        del self._stored[session.session_id]
        del self._by_token[session.auth_token]
