"""Collecting a result, as a state machine over the session record.

read the upstream -> write the outcome -> charge failed attempts -> settle the outcome -> publish -> mark published
-> delete upstream -> mark deleted

The process may die between any two steps: the message is still in the queue, and the next run continues from the
record. A step that is done twice has the same effect as once: an outcome never changes once it is written, a failed
attempt is charged under its own time, an event has one id, and a session can be deleted again.

Failed attempts are charged after every read, also while the session is still open.

An outcome is settled before its event is made: from then on no digest of the phone is compared.

A session that was revoked is read too, as long as it has no outcome and is not deleted upstream: its token works there
until then. A check that was made counts, and has its event. Without one there is no outcome and no event.
"""

import logging
import uuid
from contextlib import suppress
from dataclasses import dataclass

from collect_result.delays import DEADLINE, FORGOTTEN, OUTAGE_DEADLINE, after_failure, until_next_look
from shared.app import App
from shared.errors import Failed, KeyUnavailable, MessageGivenUp, UpstreamError, UpstreamSessionGone
from shared.events.cloud_event import event_of
from shared.queues.message import CollectMessage
from shared.sessions.record import SessionRecord
from shared.sessions.store import Stored
from shared.telemetry import Field, log_event

MAX_FAILURES = 12
"""After so many failures in a row, over some seven hours, a message with a lasting failure goes to the operator."""

_log = logging.getLogger(__name__)


async def collect_result(app: App, message: CollectMessage) -> None:
    """Bring a session to its end, or put its message back into the queue for later.

    Raises `StorageUnavailable` if the message cannot be put back, and `MessageGivenUp` after `MAX_FAILURES` if the
    last failure is lasting. The host then delivers the message again, and in the end moves it to the poison queue.
    """
    run = _Run(app, message, str(uuid.uuid4()))
    hopeless, error = False, None
    try:
        delay, following = await run.collect(), message.after_look()
    except Failed as failure:
        hopeless = failure.lasting and message.attempt + 1 >= MAX_FAILURES
        delay, following = run.delay_after(failure), message.after_failure()
        error = type(failure).__name__ + (f": {failure.detail}" if failure.detail else "")
        run.log(
            logging.ERROR if hopeless else logging.WARNING,
            "message_given_up" if hopeless else "collect_failed",
            error=type(failure).__name__,
            detail=failure.detail or None,
        )
    if hopeless:
        await run.note(None, error, following.attempt)
        # Not in the `except` block: the host logs an error with its context, which may quote values.
        raise MessageGivenUp("the log says why: message_given_up")
    if delay is not None:
        await app.queue.send(following.to_text(), delay, patient=True)
        await run.note(delay, error, following.attempt)


@dataclass(slots=True)
class _Run:
    """One run for one message; `stored` is the session's record as this run last saw it."""

    app: App
    message: CollectMessage
    request_id: str
    stored: Stored | None = None

    async def collect(self) -> float | None:
        """Go as far as possible; return the seconds until the next look, or None if all is done."""
        stored = await self.app.sessions.get(self.message.session_id)
        if stored is None:
            await self._delete_unknown()
            return None
        self.stored = stored
        read = not stored.record.closed
        self.stored = stored = await self._with_outcome(stored)
        record = stored.record
        await self.app.checks.charge(record)
        if not (record.final or record.revoked) or record.waits_for_digest(self.app.clock()):
            # The alert on sessions without an event ignores the ones logged here.
            self.log(logging.INFO, "session_still_open")
            return until_next_look(self.message.looks, self._age(record))
        if record.final:
            self.stored = stored = await self._published(stored)
        await self._delete_upstream(stored, follows=read)
        if not record.final:
            # The alert on sessions without an event ignores the ones logged here.
            self.log(logging.INFO, "session_closed_without_event")
        return None

    async def _delete_unknown(self) -> None:
        """Delete a session without a record: its create was undone, or ended before it wrote one.

        The record may also have been purged. Face has forgotten such an old session, and deleting it does nothing.
        """
        self.log(logging.WARNING, "collect_unknown_session")
        await self.app.face.delete(self.message.session_id, self.request_id)

    async def _with_outcome(self, stored: Stored) -> Stored:
        """The record with its outcome, if there is one by now."""
        app, record = self.app, stored.record
        if record.closed:
            return stored
        try:
            stored = await app.checks.read(stored, self.request_id)
        except UpstreamSessionGone:
            return await app.checks.gone(stored)
        except (UpstreamError, KeyUnavailable):
            # There may be a result: wait for the end of the outage for as long as Face keeps it.
            if self._age(record) < OUTAGE_DEADLINE:
                raise
        if self._age(record) >= DEADLINE:
            stored = await app.sessions.change(stored, lambda record: record.expired(app.clock()))
        return stored

    async def _published(self, stored: Stored) -> Stored:
        """The record after its event was published."""
        app = self.app
        if stored.record.published_at is not None:
            return stored
        stored = await app.sessions.change(stored, lambda record: record.as_settled())
        record = stored.record
        event = event_of(record)
        await app.publisher.publish(event)
        self.log(
            logging.INFO,
            "event_published",
            eventType=event["type"],
            eventId=event["id"],
            passed=record.passed,
            decision=record.decision,
            digestMatches=record.digest_matches,
            milliseconds=app.clock() - (record.completed_at or record.token_expires_at),
        )
        return await app.sessions.change(stored, lambda record: record.as_published(app.clock()))

    async def _delete_upstream(self, stored: Stored, *, follows: bool) -> None:
        """Delete the session at Face, unless it is to stay there, or Face has forgotten it."""
        app, record = self.app, stored.record
        if record.deleted_upstream or not (app.settings.delete_after_result or record.revoked):
            return
        if self._age(record) >= FORGOTTEN:
            return
        await app.checks.delete(stored, self.request_id, follows=follows)

    def delay_after(self, failure: Failed) -> float:
        """The seconds until the next try."""
        record = self.stored and self.stored.record
        open_age = self._age(record) if record and not record.closed else None
        return after_failure(self.message.attempt, failure.retry_after or 0.0, open_age)

    async def note(self, delay: float | None, error: str | None, failed: int) -> None:
        """Tell operators in the record when the next look is, and what failed. Nothing depends on it."""
        if self.stored is None:
            return
        at = None if delay is None else self.app.clock() + round(delay * 1000)
        with suppress(Failed):
            await self.app.sessions.change(
                self.stored, lambda record: record.with_next_look(at, error, failed)
            )

    def log(self, level: int, event: str, **fields: Field) -> None:
        """Log an event with the fields that identify this run, its message and its calls of Face."""
        log_event(
            _log,
            level,
            event,
            sessionId=self.message.session_id,
            messageId=self.message.message_id,
            reason=str(self.message.reason),
            attempt=self.message.attempt,
            traceparent=self.message.traceparent,
            requestId=self.request_id,
            **fields,
        )

    def _age(self, record: SessionRecord) -> float:
        """The age of the session in seconds."""
        return (self.app.clock() - record.created_at) / 1000
