"""The sessions that Azure Face holds, and the rules of their life. No I/O."""

import base64
import itertools
import secrets
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from local.simulator import answers, scenarios
from local.simulator.answers import Refused
from local.simulator.scenarios import Outcome, Scenario
from shared.clock import Clock

SESSION_LIFE_MS = 48 * 3600 * 1000
"""A session expires 48 hours after it was created (the page of the create operation)."""

Status = Literal["NotStarted", "Started", "ResultAvailable"]


def make_auth_token() -> str:
    """Return a random token that looks like a JSON web token."""
    header = base64.urlsafe_b64encode(b'{"alg":"ES256","kid":"simulator","typ":"JWT"}').decode().rstrip("=")
    return f"{header}.{secrets.token_urlsafe(96)}.{secrets.token_urlsafe(64)}"


def make_digest() -> str:
    """Return a random digest: 64 hexadecimal digits in upper case, as in published examples."""
    return secrets.token_hex(32).upper()


@dataclass(frozen=True, slots=True)
class Order:
    """What a create request asks for, in any version of the API."""

    device_id: str | None = None
    device_id_set_in_client: bool = False
    lifetime_s: int = 600
    send_results: bool = False
    session_image: bool = False
    model_version: str | None = None
    attempts_allowed: int = 3
    expected_address: str | None = None


@dataclass(frozen=True, slots=True)
class PhoneCall:
    """The phone's call that makes an attempt, as the audit entry shows it."""

    request_id: str
    client_request_id: str
    user_agent: str
    address: str
    received_ms: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `attempt_id` counts from 1 in its session, `entry_id` from 1 in the resource."""

    attempt_id: int
    entry_id: int
    outcome: Outcome
    digest: str
    call: PhoneCall


@dataclass(slots=True)
class Session:
    """A session as it is now; `attempts` are the oldest first, `reads` counts the reads of its result."""

    session_id: str
    auth_token: str = field(repr=False)
    created_ms: int
    order: Order
    device_id: str | None
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
        return now_ms >= self.created_ms + self.order.lifetime_s * 1000


class Sessions:
    """The sessions of one Face resource. The latest 10,000 deleted ones are kept too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: dict[str, Session] = {}
        self._by_token: dict[str, Session] = {}
        self._deleted: deque[Session] = deque(maxlen=10_000)
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

    def create(self, order: Order) -> Session:
        """Store a new session."""
        session = Session(
            session_id=str(uuid.uuid4()),
            auth_token=make_auth_token(),
            created_ms=self._clock(),
            order=order,
            device_id=order.device_id,
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

    def find_by_token(self, auth_token: str | None) -> Session:
        """Answer the session of a token; raises `Refused` (401) if the token is not valid (any more)."""
        self._forget_expired()
        session = self._by_token.get(auth_token or "")
        if session is None or session.canceled or session.token_expired(self._clock()):
            raise Refused(answers.TOKEN_REFUSED)
        return session

    def start(self, session: Session) -> None:
        """Start the session, unless it was started before."""
        if session.started_ms is None:
            session.started_ms = self._clock()

    def attempt(self, session: Session, outcome: Outcome, call: PhoneCall) -> Attempt:
        """Add an attempt to the session; raises `Refused` (403) if it has no attempts left."""
        if len(session.attempts) >= session.order.attempts_allowed:
            raise Refused(answers.NO_ATTEMPTS_LEFT)
        attempt = Attempt(
            attempt_id=len(session.attempts) + 1,
            entry_id=next(self._entry_ids),
            outcome=outcome,
            digest=make_digest(),
            call=call,
        )
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
