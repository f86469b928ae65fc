"""The record of a session and the rules by which it changes. Nothing here does I/O."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256

from shared.errors import UpstreamFailure
from shared.face.model import AuditEntry, Failure, LivenessDecision, SessionResult, SessionStatus
from shared.storage.port import Value
from shared.throttle.policy import Log

EXPIRY_GRACE_MS = 120_000
"""How long after the end of its token a session may still bring the result of a check that was running."""

FINAL = (SessionStatus.RESULT_AVAILABLE, SessionStatus.EXPIRED)


class Step(StrEnum):
    """What happened to a session, as its history names it."""

    CREATED = "created"
    STARTED = "started"
    COMPLETED = "completed"
    EXPIRED = "expired"
    REVOKED = "revoked"
    PUBLISHED = "published"
    DELETED_UPSTREAM = "deletedUpstream"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session. Times are unix milliseconds. It holds no image, no auth token and no raw device id.

    `device` and `caller` are pseudonyms. `principal` is the name in events: that of the caller, or of the person that a
    server named with `onBehalfOf`. `client_reference_from` says what named the transaction: `token`, the caller's
    access token, or `caller`, the body. `reads` are the times of the upstream reads that count against
    `THROTTLE_RESULT`. `history` may hold steps, and `further` columns, that only another release knows; they are kept
    as they are.
    """

    session_id: str
    token_hash: str
    device: str
    created_at: int
    token_expires_at: int
    caller: str | None = None
    principal: str | None = None
    client_reference: str | None = None
    client_reference_from: str | None = None
    face_api_version: str = ""
    region: str = ""
    traceparent: str | None = None
    status: SessionStatus = SessionStatus.NOT_STARTED
    decision: LivenessDecision | None = None
    digest: str | None = None
    attempts: int = 0
    failure: Failure | None = None
    completed_at: int | None = None
    upstream_request_id: str | None = None
    revoked: bool = False
    published_at: int | None = None
    deleted_upstream: bool = False
    reads: Log = ()
    history: tuple[tuple[int, str], ...] = ()
    further: Mapping[str, Value] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Whether the result can no longer change."""
        return self.status in FINAL

    @property
    def closed(self) -> bool:
        """Whether no outcome can be written any more: there is one, or the session was revoked."""
        return self.final or self.revoked

    @property
    def owes_event(self) -> bool:
        """Whether the terminal event is not published yet. A session revoked before its end has no event."""
        return self.published_at is None and (self.final or not self.revoked)

    def is_held_by(self, auth_token: str, caller: str | None) -> bool:
        """Whether the session was given to this caller (a pseudonym). Tokens are compared in constant time.

        The token alone counts for a session that was made before callers had to sign in.
        """
        same_token = hmac.compare_digest(self.token_hash.encode(), token_hash(auth_token).encode())
        return same_token and self.caller in (None, caller)

    def matches_digest(self, sent: str | None) -> bool | None:
        """Whether the phone's digest equals the result's; None if the phone sent none, or there is no result yet.

        If they differ, the result was changed on its way (azure-ai-vision-sdk, flutter sample, step 3.7).
        """
        if sent is None or self.status is not SessionStatus.RESULT_AVAILABLE:
            return None
        if not self.digest:
            # An empty header does not match a result without a digest.
            return False
        return hmac.compare_digest(self.digest.lower().encode(), sent.lower().encode("utf-8", "replace"))

    def passed(self, sent_digest: str | None) -> bool:
        """Whether the check passed: its result is `realface`, without a failure or a digest that differs."""
        is_result = self.status is SessionStatus.RESULT_AVAILABLE and self.failure is None
        is_real = is_result and self.decision is LivenessDecision.REALFACE
        return is_real and self.matches_digest(sent_digest) is not False

    def noted(self, step: Step, now: int) -> "SessionRecord":
        """The record with one more step in its history."""
        return replace(self, history=(*self.history, (now, step)))

    def audit(self) -> tuple[AuditEntry, ...]:
        """The history as audit entries, with the outcome in the entry of its step. Ids count from 1."""
        entries = [AuditEntry(number, at, str(step)) for number, (at, step) in enumerate(self.history, 1)]
        return tuple(
            self._with_outcome(entry) if entry.event == Step.COMPLETED else entry for entry in entries
        )

    def with_result(self, result: SessionResult, now: int) -> "SessionRecord":
        """The record after Face answered. A closed record stays as it is."""
        if self.closed:
            return self
        if result.status is SessionStatus.RESULT_AVAILABLE:
            return replace(
                self,
                status=SessionStatus.RESULT_AVAILABLE,
                decision=result.decision,
                digest=result.digest,
                attempts=result.attempts,
                failure=result.failure,
                completed_at=now,
                upstream_request_id=result.request_id,
            ).noted(Step.COMPLETED, now)
        if result.status is not SessionStatus.STARTED and self._is_over(now):
            return self.expired(now)
        started = SessionStatus.STARTED in (self.status, result.status)
        status = SessionStatus.STARTED if started else SessionStatus.NOT_STARTED
        moved = replace(self, status=status, attempts=max(self.attempts, result.attempts))
        return moved.noted(Step.STARTED, now) if status is not self.status else moved

    def expired(self, now: int) -> "SessionRecord":
        """The record of a session that ended without a result. A closed record stays as it is."""
        if self.closed:
            return self
        return replace(self, status=SessionStatus.EXPIRED, completed_at=now).noted(Step.EXPIRED, now)

    def gone(self, now: int) -> "SessionRecord":
        """The record after Face answered that it does not know the session.

        Raises `UpstreamFailure` while Face still has to know it: the broker deletes a session only after it wrote
        that the session is closed. So read the record again, after Face answered, before calling this.
        """
        if not (self.closed or self._is_over(now)):
            raise UpstreamFailure("Face does not know the session: is this the resource that made it?")
        return self.expired(now)

    def as_published(self, now: int) -> "SessionRecord":
        """The record after its event was published."""
        return self if self.published_at else replace(self, published_at=now).noted(Step.PUBLISHED, now)

    def as_revoked(self, now: int) -> "SessionRecord":
        """The record after its phone revoked the session."""
        return self if self.revoked else replace(self, revoked=True).noted(Step.REVOKED, now)

    def as_deleted_upstream(self, now: int) -> "SessionRecord":
        """The record after the session was deleted at Face."""
        if self.deleted_upstream:
            return self
        return replace(self, deleted_upstream=True).noted(Step.DELETED_UPSTREAM, now)

    def _with_outcome(self, entry: AuditEntry) -> AuditEntry:
        outcome = replace(entry, decision=self.decision, failure=self.failure, digest=self.digest)
        return replace(outcome, request_id=self.upstream_request_id)

    def _is_over(self, now: int) -> bool:
        return now > self.token_expires_at + EXPIRY_GRACE_MS


def token_hash(auth_token: str) -> str:
    """The SHA-256 of an auth token, which is all that is stored of it."""
    return sha256(auth_token.encode("utf-8", "replace")).hexdigest()
