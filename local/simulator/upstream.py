"""The sessions that Azure Face holds: what they are and what becomes of them. No I/O."""

import itertools
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Literal

from local.simulator import errors, scenarios
from local.simulator.clock import Clock
from local.simulator.errors import Refused
from local.simulator.identifiers import Identifiers
from local.simulator.scenarios import Outcome, Scenario

SESSION_LIFE_MS = 48 * 3600 * 1000
"""A session expires 48 hours after it was created (the page of the create operation)."""

Status = Literal["NotStarted", "Started", "ResultAvailable"]


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a create request asks for, in any version of the API."""

    api_version: str
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
    """Who makes an attempt, and when: what the audit entry of the attempt tells about the call."""

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


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is now; `attempts` are the oldest first, `reads` counts the results asked for."""

    session_id: str
    auth_token: str = field(repr=False)
    created_ms: int
    order: NewSession
    device_id: str | None
    started_ms: int | None = None
    attempts: tuple[Attempt, ...] = ()
    canceled: bool = False
    reads: int = 0
    deleted: bool = False

    @property
    def scenario(self) -> Scenario:
        """What the device id makes happen."""
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


class Upstream:
    """The sessions of one Face resource; the latest `deleted_remembered` that were deleted are kept for a listing."""

    def __init__(self, clock: Clock, identifiers: Identifiers, *, deleted_remembered: int = 10_000) -> None:
        self._clock = clock
        self._identifiers = identifiers
        self._stored: dict[str, Session] = {}
        self._id_by_token: dict[str, str] = {}
        self._deleted: deque[Session] = deque(maxlen=deleted_remembered)
        self._entry_ids = itertools.count(1)

    @property
    def stored(self) -> tuple[Session, ...]:
        """The sessions that exist, oldest first."""
        self._forget_expired()
        return tuple(self._stored.values())

    @property
    def deleted(self) -> tuple[Session, ...]:
        """The sessions that were deleted, in that order; the oldest of very many are forgotten."""
        return tuple(self._deleted)

    def create(self, order: NewSession) -> Session:
        """Store a new session."""
        self._forget_expired()
        session = Session(
            session_id=self._identifiers.session_id(),
            auth_token=self._identifiers.auth_token(),
            created_ms=self._clock(),
            order=order,
            device_id=order.device_id,
        )
        self._id_by_token[session.auth_token] = session.session_id
        return self._store(session)

    def find(self, session_id: str) -> Session:
        """Answer the session; one that never existed, is deleted or older than 48 hours is Refused."""
        self._forget_expired()
        try:
            return self._stored[session_id]
        except KeyError:
            raise Refused(errors.SESSION_NOT_FOUND) from None

    def count_read(self, session: Session) -> None:
        """Note that the result of the session was asked for."""
        self._store(replace(session, reads=session.reads + 1))

    def delete(self, session: Session) -> None:
        """Remove the session; its token stops working."""
        self._remove(session)
        self._deleted.append(replace(session, deleted=True))

    def holder(self, auth_token: str | None) -> Session:
        """Answer the session of a token; one that is unknown, expired or of a canceled session is Refused."""
        self._forget_expired()
        session = self._stored.get(self._id_by_token.get(auth_token or "", ""))
        if session is None or session.canceled or session.token_expired(self._clock()):
            raise Refused(errors.TOKEN_REFUSED)
        return session

    def name_device(self, session: Session, device_id: str) -> Session:
        """Note the device id that the phone names, where the session leaves that to the phone."""
        return self._store(replace(session, device_id=device_id))

    def begin(self, session: Session) -> Session:
        """Start the session, if it has not been started."""
        return (
            session
            if session.started_ms is not None
            else self._store(replace(session, started_ms=self._clock()))
        )

    def cancel(self, session: Session) -> Session:
        """Leave the session canceled."""
        return self._store(replace(session, canceled=True))

    def attempt(self, session: Session, outcome: Outcome, call: PhoneCall) -> Attempt:
        """Add an attempt to the session, which is Refused when it has had as many as it allows."""
        if len(session.attempts) >= session.order.attempts_allowed:
            raise Refused(errors.NO_ATTEMPTS_LEFT)
        attempt = Attempt(
            attempt_id=len(session.attempts) + 1,
            entry_id=next(self._entry_ids),
            outcome=outcome,
            digest=self._identifiers.digest(),
            call=call,
        )
        self._store(replace(session, attempts=(*session.attempts, attempt)))
        return attempt

    def _store(self, session: Session) -> Session:
        self._stored[session.session_id] = session
        return session

    def _remove(self, session: Session) -> None:
        del self._stored[session.session_id]
        del self._id_by_token[session.auth_token]

    def _forget_expired(self) -> None:
        """Remove what is too old: sessions are stored as they were created, and all live equally long."""
        expires_before = self._clock() - SESSION_LIFE_MS
        while (oldest := next(iter(self._stored.values()), None)) and oldest.created_ms <= expires_before:
            self._remove(oldest)
