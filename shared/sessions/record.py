"""The record of a session and the rules by which it changes. Nothing here does I/O."""

import hmac
from collections.abc import Collection, Mapping
from dataclasses import field, replace
from enum import StrEnum
from hashlib import sha256

from shared.errors import UpstreamFailure
from shared.face.model import AuditEntry, Failure, LivenessDecision, SessionResult, SessionStatus
from shared.storage.port import Value
from shared.throttle.policy import Log
from shared.values import immutable

EXPIRY_GRACE_MS = 120_000
"""How long after the end of its token a session may still bring the result of a check that was running."""

UNFINISHED = Failure("Unfinished", "The session ended before its last attempt did.")
"""The failure of a session that ended after an attempt decided, while Face said that the check goes on."""

MOST_NAMED = 50
"""How many flagged sessions, and how many addresses, a record keeps. Face may name more than a row can hold."""

IDLE_READ_PART = 10
LONGEST_IDLE_WAIT_MS = 30_000
"""A session that nobody started is read again after a tenth of the age that it had at the last read, and at most 30 s.
Without that, a caller that polls some sessions without a check takes the rate of Face from others."""

MOST_SAID = 256
"""How many characters of the collector's last error a record keeps."""

UNKNOWN_DECISION = Failure("UnknownDecision", "The attempt ended with a decision that is not known.")
"""The failure of a session with a decision that only another release knows."""

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


@immutable
class SessionRecord:
    """One session. Times are unix milliseconds. It holds no image, no auth token and no raw device id.

    `device` and `caller` are pseudonyms. `limit_rows` are the rows of limits in which a failed check counts: those
    of the device, and of the person that the session is for, under each pepper that there was when it was made.
    `answer_row` is the row with the answer that is kept for its idempotency key. `principal` is the name in events:
    that of the caller, or of the person that a server named with `onBehalfOf`. `client_reference_from` says what
    named the transaction: `token`, the caller's access token, or `caller`, the body. `reads` are the times of the
    upstream reads that count against `THROTTLE_RESULT`. `history` may hold steps, and `further` columns, that only
    another release knows; they are kept as they are.

    `unread` holds the columns of an outcome that only another release knows, as they are in the row. Until this release
    gives the session an outcome of its own, the record stands for one that did not pass: it has not ended, or its
    event was published.

    `digest_required` and `abuse_is_failure` are the settings when the session was made: what they say about a session
    does not change while it lives. `decided` has an entry for each attempt that decided: when the broker learned of it,
    what it decided, and its id at Face. No two times are the same. `settled` is true if no digest is compared any more.

    `sent_digest` is the SHA-256 of the first digest that the phone sent before the decision was known.

    `next_look_at`, `last_error` and `failed_looks` are for operators, and nothing is decided by them: when the
    collector looks at the session again, why its last try failed, and how many tries have failed in a row.
    """

    session_id: str
    token_hash: str
    device: str
    created_at: int
    token_expires_at: int
    caller: str | None = None
    principal: str | None = None
    limit_rows: tuple[str, ...] = ()
    answer_row: str | None = None
    client_reference: str | None = None
    client_reference_from: str | None = None
    face_api_version: str = ""
    region: str = ""
    traceparent: str | None = None
    status: SessionStatus = SessionStatus.NOT_STARTED
    decision: LivenessDecision | None = None
    digest: str | None = None
    sent_digest: str | None = None
    digest_required: bool = False
    digest_matches: bool | None = None
    settled: bool = False
    abuse_is_failure: bool = True
    abuse_detected: bool | None = None
    flagged_sessions: tuple[str, ...] = ()
    client_addresses: tuple[str, ...] = ()
    attempts: int = 0
    decided: tuple[tuple[int, str, int], ...] = ()
    failure: Failure | None = None
    completed_at: int | None = None
    upstream_request_id: str | None = None
    revoked: bool = False
    published_at: int | None = None
    deleted_upstream: bool = False
    next_look_at: int | None = None
    last_error: str | None = None
    failed_looks: int = 0
    reads: Log = ()
    history: tuple[tuple[int, str], ...] = ()
    further: Mapping[str, Value] = field(default_factory=dict)
    unread: Mapping[str, Value] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Whether the result can no longer change."""
        return self.status in FINAL

    @property
    def closed(self) -> bool:
        """Whether Face is not read any more: there is an outcome, or the session was revoked and deleted there."""
        return self.final or (self.revoked and self.deleted_upstream)

    @property
    def owes_event(self) -> bool:
        """Whether the terminal event is not published yet. A session revoked without a check has no event."""
        return self.published_at is None and (self.final or not self.revoked)

    def is_held_by(self, auth_token: str, callers: Collection[str], now: int) -> bool:
        """Whether the session was given to this caller. Tokens are compared in constant time.

        `callers` are the caller's pseudonyms under each pepper; empty where callers are not signed in.
        For a session that was made before callers had to sign in, the token alone counts until its end.
        """
        same_token = hmac.compare_digest(self.token_hash.encode(), token_hash(auth_token).encode())
        is_from_before = self.caller is None and not self._is_over(now)
        is_own = self.caller in callers if callers else self.caller is None
        return same_token and (is_own or is_from_before)

    @property
    def passed(self) -> bool:
        """Whether the check passed: the one meaning of it for answers, records and events.

        The decision is `realface`, no digest differed, one was given where it is required, and no abuse was detected
        where that is a failure.
        """
        is_result = self.status is SessionStatus.RESULT_AVAILABLE and self.failure is None
        is_real = is_result and self.decision is LivenessDecision.REALFACE
        is_same = self.digest_matches or (self.digest_matches is None and not self.digest_required)
        return is_real and is_same and not (self.abuse_detected and self.abuse_is_failure)

    @property
    def awaits_digest(self) -> bool:
        """Whether the outcome still depends on a digest that the phone has to send."""
        return self.digest_required and self._digest_is_open

    def waits_for_digest(self, now: int) -> bool:
        """Whether its event has to wait: the phone may still send the digest that the outcome depends on."""
        return self.awaits_digest and not self.revoked and not self._is_over(now)

    @property
    def hides_digest(self) -> bool:
        """Whether Face's digest is secret: a copy of it could still pass for the digest that the phone has to send."""
        is_over = self._is_fixed or self.revoked
        return self.digest_required and self.digest_matches is None and not is_over

    @property
    def failed_at(self) -> tuple[int, ...]:
        """When the broker learned of each attempt that decided anything but `realface`."""
        return tuple([at for at, decision, _ in self.decided if decision != LivenessDecision.REALFACE])

    @property
    def started_at(self) -> int | None:
        """When the broker learned that the check was started, or None."""
        return next((at for at, step in self.history if step == Step.STARTED), None)

    @property
    def idle_until(self) -> int:
        """Until when Face is not asked about a session that nobody started, in unix milliseconds; 0 if it may be."""
        if self.status is not SessionStatus.NOT_STARTED or not self.reads:
            return 0
        age = self.reads[-1] - self.created_at
        return self.reads[-1] + min(age // IDLE_READ_PART, LONGEST_IDLE_WAIT_MS)

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
        """The record after Face answered. A final record stays as it is, and one with an outcome of another release.

        That outcome may be worse than Face's: the session then ends at its deadline, without a pass.

        A check counts also after the session was revoked: it may have been made, or read, before that.
        """
        if self.final or self.unread:
            return self
        seen = self._with_attempts(result, now)
        if result.status is SessionStatus.RESULT_AVAILABLE:
            seen = replace(seen, failure=result.failure, upstream_request_id=result.request_id)
            if not result.may_retry or self.revoked or self._is_over(now):
                decided = replace(seen, decision=result.decision, digest=result.digest)._completed(now)
                return decided._compared(self.sent_digest)
        elif self.revoked or (result.status is not SessionStatus.STARTED and self._is_over(now)):
            return seen.expired(now)
        started = (SessionStatus.STARTED, SessionStatus.RESULT_AVAILABLE)
        if SessionStatus.NOT_STARTED is self.status and result.status in started:
            return replace(seen, status=SessionStatus.STARTED).noted(Step.STARTED, now)
        return seen

    def with_digest(self, sent: str | None) -> "SessionRecord":
        """The record after the phone sent a digest: the first one is compared with the result's, and no other.

        If they differ, the result was changed on its way (azure-ai-vision-sdk, flutter sample, step 3.7). A digest
        that comes before the decision is known is kept until then.
        """
        if sent is None:
            return self
        if self.closed:
            return self._compared(_digest_hash(sent))
        return self if self.sent_digest else replace(self, sent_digest=_digest_hash(sent))

    def as_settled(self) -> "SessionRecord":
        """The record before its event is made: a digest that comes later cannot change what the event says."""
        return replace(self, settled=True) if self._digest_is_open else self

    def expired(self, now: int) -> "SessionRecord":
        """The record of a session that ended without a decision. A final record stays as it is.

        An attempt that failed is its result then: no other one can be made. So is an attempt that was not finished
        after one that decided. A session that was revoked without any attempt does not expire.
        """
        if self.final:
            return self
        if self.failure or self.decided:
            return replace(self, failure=self.failure or UNFINISHED)._completed(now)
        if self.revoked:
            return self
        ended = replace(self, status=SessionStatus.EXPIRED, completed_at=now, unread={})
        return ended.noted(Step.EXPIRED, now)

    def gone(self, now: int) -> "SessionRecord":
        """The record after Face answered that it does not know the session.

        Raises `UpstreamFailure` while Face still has to know it: the broker deletes a session only after it wrote
        that the session ended. So read the record again, after Face answered, before calling this.
        """
        if not (self.final or self.revoked or self._is_over(now)):
            raise UpstreamFailure("Face does not know the session: is this the resource that made it?")
        return self.expired(now)

    def as_published(self, now: int) -> "SessionRecord":
        """The record after its event was published."""
        if self.published_at:
            return self
        return replace(self, published_at=now).with_next_look(None).noted(Step.PUBLISHED, now)

    def as_revoked(self, now: int) -> "SessionRecord":
        """The record after its phone revoked the session. It ends if an attempt failed or decided."""
        if self.revoked:
            return self
        return replace(self, revoked=True).expired(now).noted(Step.REVOKED, now)

    def cut_off(self, now: int) -> "SessionRecord":
        """The record after the broker ended a check that goes on for too long: it expires, so it has its event.

        A record with an outcome, of another release too, or that was revoked, stays as it is.
        """
        return self if self.final or self.revoked or self.unread else self.expired(now).as_revoked(now)

    def as_deleted_upstream(self, now: int) -> "SessionRecord":
        """The record after the session was deleted at Face."""
        if self.deleted_upstream:
            return self
        return replace(self, deleted_upstream=True).with_next_look(None).noted(Step.DELETED_UPSTREAM, now)

    def with_next_look(self, at: int | None, error: str | None = None, failed: int = 0) -> "SessionRecord":
        """The record after the collector put its message back for `at`, or is done where that is None."""
        return replace(self, next_look_at=at, last_error=error and error[:MOST_SAID], failed_looks=failed)

    @property
    def _digest_is_open(self) -> bool:
        """Whether there is a decision, and no digest was compared with its own yet."""
        is_decided = self.status is SessionStatus.RESULT_AVAILABLE and self.decision is not None
        return is_decided and self.digest_matches is None and not self._is_fixed

    @property
    def _is_fixed(self) -> bool:
        """Whether the event says, or is about to say, how the digests compare: no further one counts."""
        return self.settled or self.published_at is not None

    def _compared(self, sent_digest: str | None) -> "SessionRecord":
        """The record after its digest was compared with a digest that was sent, which is hashed."""
        if sent_digest is None or not self._digest_is_open:
            return self
        # A result without a digest cannot be the one that the phone saw.
        matches = self.digest is not None and hmac.compare_digest(_digest_hash(self.digest), sent_digest)
        return replace(self, digest_matches=matches)

    def _with_attempts(self, result: SessionResult, now: int) -> "SessionRecord":
        """Add what Face says about the attempts so far. An older answer takes nothing away.

        An attempt is known by its id: it may decide later than a newer one.
        """
        known = {attempt for _, _, attempt in self.decided}
        new = [(decision, attempt) for attempt, decision in result.decisions if attempt not in known]
        # Two attempts that are learned of together still have different times, because each is charged under its own.
        first = now - len(new) + 1
        if self.decided:
            first = max(first, self.decided[-1][0] + 1)
        return replace(
            self,
            attempts=max(self.attempts, result.attempts),
            decided=(*self.decided, *[(at, *one) for at, one in enumerate(new, first)]),
            abuse_detected=self.abuse_detected or result.abuse_detected,
            flagged_sessions=result.flagged_sessions[:MOST_NAMED] or self.flagged_sessions,
            client_addresses=result.client_addresses[:MOST_NAMED] or self.client_addresses,
        )

    def _completed(self, now: int) -> "SessionRecord":
        ended = replace(self, status=SessionStatus.RESULT_AVAILABLE, completed_at=now, unread={})
        return ended.noted(Step.COMPLETED, now)

    def _with_outcome(self, entry: AuditEntry) -> AuditEntry:
        return replace(
            entry,
            request_id=self.upstream_request_id,
            decision=self.decision,
            failure=self.failure,
            digest=self.digest,
            digest_matches=self.digest_matches,
            decisions=tuple([decision for _, decision, _ in self.decided]),
            abuse_detected=self.abuse_detected,
            flagged_sessions=self.flagged_sessions,
            client_addresses=self.client_addresses,
        )

    def _is_over(self, now: int) -> bool:
        return now > self.token_expires_at + EXPIRY_GRACE_MS


def token_hash(auth_token: str) -> str:
    """The SHA-256 of an auth token, which is all that is stored of it."""
    return sha256(auth_token.encode("utf-8", "replace")).hexdigest()


def _digest_hash(digest: str) -> str:
    """The SHA-256 of a digest, whose letters may be of either case. A phone may send any text, of any length."""
    return sha256(digest.lower().encode("utf-8", "replace")).hexdigest()
