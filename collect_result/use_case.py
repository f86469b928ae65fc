"""Collecting a result, as a state machine over the session record.

read the upstream -> write the outcome -> charge a failure -> publish -> mark published -> delete upstream -> mark that

The process may die between any two steps: the message is still there, and the next run goes on where the record says.
What is done twice is the same: an outcome once written stays, a failure is entered by its own time, a published event
has one id, a deletion of what is gone is fine.

A session that was revoked before its outcome was written has none, and no event: it is only deleted upstream.
"""

import logging
import uuid
from dataclasses import dataclass

from collect_result.delays import DEADLINE, FORGOTTEN, GIVEN_UP, after_trouble, until_next_look
from shared.app import App
from shared.errors import (
    Failed,
    KeyUnavailable,
    MessageGivenUp,
    UpstreamError,
    UpstreamSessionGone,
)
from shared.events.cloud_event import event_of
from shared.face.model import SessionStatus
from shared.queues.message import CollectMessage
from shared.sessions.record import SessionRecord
from shared.sessions.store import Stored
from shared.telemetry import log_event

GIVEN_UP_AFTER = 12
"""Failures in a row after which one that lasts is left to the operator: some seven hours."""

_log = logging.getLogger(__name__)


async def collect_result(app: App, message: CollectMessage) -> None:
    """Bring a session to its end, or put the message back for later.

    Raises `StorageUnavailable` where not even that was possible, and `MessageGivenUp` where it has failed too often for
    something that stays as it is: the host delivers the message again some times, and then keeps it as poison.
    """
    run = _Run(app, message, str(uuid.uuid4()))
    try:
        delay, following = await run.collect(), message.after_look()
    except Failed as trouble:
        given_up = trouble.lasting and message.attempt + 1 >= GIVEN_UP_AFTER
        delay, following = run.delay_after(trouble), message.after_failure()
        log_event(
            _log,
            logging.ERROR if given_up else logging.WARNING,
            "message_given_up" if given_up else "collect_failed",
            **run.fields,
            error=type(trouble).__name__,
            detail=trouble.detail or None,
        )
    else:
        given_up = False
    if given_up:
        # Not while the trouble is handled: the host logs an error with all that it came from, values included.
        raise MessageGivenUp("the log says why: message_given_up")
    if delay is not None:
        await app.queue.send(following.to_text(), delay)


@dataclass(slots=True)
class _Run:
    """One run for one message; `record` is the session's as this run last saw it."""

    app: App
    message: CollectMessage
    request_id: str
    record: SessionRecord | None = None

    @property
    def fields(self) -> dict[str, str | int | None]:
        """What each line of the log says: whose run this is, what brought it about, and its calls of Face."""
        return {
            "sessionId": self.message.session_id,
            "reason": self.message.reason.value,
            "attempt": self.message.attempt,
            "traceparent": self.message.traceparent,
            "requestId": self.request_id,
        }

    async def collect(self) -> float | None:
        """Go as far as possible; answer in how many seconds to look again, or None where all is done."""
        stored = await self.app.sessions.get(self.message.session_id)
        if stored is None:
            await self._undo()
            return None
        self.record = stored.record
        stored = await self._settled(stored)
        self.record = record = stored.record
        if not record.final and not record.revoked:
            # For the alert on sessions without an event: this one is seen to.
            log_event(_log, logging.INFO, "session_still_open", **self.fields)
            return until_next_look(self.message.looks, self._age(record))
        if record.final:
            stored = await self._published(stored)
        await self._delete_upstream(stored)
        return None

    def delay_after(self, trouble: Failed) -> float:
        """In how many seconds to try again what failed."""
        record = self.record
        open_age = self._age(record) if record and not (record.final or record.revoked) else None
        retry_after = trouble.retry_after or 0.0
        return after_trouble(self.message.attempt, retry_after, open_age)

    async def _undo(self) -> None:
        """End a session that nobody has heard of: its create was undone, or died before there was a record.

        Or it is older than records are kept: Face has forgotten it then, and says that it is gone.
        """
        log_event(_log, logging.WARNING, "collect_unknown_session", **self.fields)
        await self.app.face.delete(self.message.session_id, self.request_id)

    async def _settled(self, stored: Stored) -> Stored:
        """The record with its outcome, if there is one by now."""
        app, record = self.app, stored.record
        if record.final or record.revoked:
            return stored
        try:
            result = await app.face.result(
                record.session_id, self.request_id, api_version=record.face_api_version
            )
        except UpstreamSessionGone:
            # Who ended the session meanwhile may have deleted it.
            stored = await app.sessions.reload(record.session_id)
            return await app.sessions.change(stored, lambda record: record.gone(app.clock()))
        except (UpstreamError, KeyUnavailable):
            # A result that may be there is not given up for an outage while Face still knows the session.
            if self._age(record) < GIVEN_UP:
                raise
        else:
            stored = await app.sessions.change(stored, lambda record: record.with_result(result, app.clock()))
        if self._age(record) >= DEADLINE:
            stored = await app.sessions.change(stored, lambda record: record.expired(app.clock()))
        return stored

    async def _published(self, stored: Stored) -> Stored:
        """The record after its event was taken."""
        app, record = self.app, stored.record
        if record.published_at is not None:
            return stored
        await self._charge_failure(record)
        event = event_of(record)
        await app.publisher.publish(event)
        log_event(
            _log,
            logging.INFO,
            "event_published",
            **self.fields,
            eventType=event["type"],
            eventId=event["id"],
        )
        return await app.sessions.change(stored, lambda record: record.as_published(app.clock()))

    async def _charge_failure(self, record: SessionRecord) -> None:
        """Enter a check that did not pass; one that was never made counts for nothing."""
        if record.status is SessionStatus.RESULT_AVAILABLE and not record.passed(None):
            key, limit = self.app.subjects.of_failure(record.device)
            await self.app.limiter.charge(key, limit, record.completed_at or record.created_at)

    async def _delete_upstream(self, stored: Stored) -> None:
        """Have Face forget the session, its image included, unless it has done so by itself."""
        app, record = self.app, stored.record
        if record.deleted_upstream or not (app.settings.delete_after_result or record.revoked):
            return
        if self._age(record) >= FORGOTTEN:
            return
        await app.face.delete(record.session_id, self.request_id, api_version=record.face_api_version)
        await app.sessions.change(stored, lambda record: record.as_deleted_upstream(app.clock()))

    def _age(self, record: SessionRecord) -> float:
        """For how many seconds there has been the session."""
        return (self.app.clock() - record.created_at) / 1000
