"""Collecting a result, as a state machine over the session record.

read the upstream -> write the outcome -> charge a failure -> publish -> mark published -> delete upstream -> mark that

The process may die between any two steps: the message is still there, and the next run goes on where the record says.
What is done twice is the same: an outcome once written stays, a failure is entered by its own time, a published event
has one id, a deletion of what is gone is fine.

A session that was revoked before its outcome was written has none, and no event: it is only deleted upstream.
"""

import logging
import uuid

from collect_result.delays import after_trouble, until_next_look
from shared.bootstrap import App
from shared.errors import BrokerError, EventsUnavailable, KeyUnavailable, UpstreamError, UpstreamSessionGone
from shared.events.cloud_event import event_of
from shared.face.model import SessionStatus
from shared.queues.message import CollectMessage
from shared.sessions.record import SessionRecord
from shared.sessions.store import Stored
from shared.telemetry import log_event

DEADLINE_MS = 47 * 3_600_000
"""When a session that brought no result has expired: an hour before Face forgets it."""

FORGOTTEN_MS = 48 * 3_600_000
"""When Face forgets a session by itself: its page of the create operation, v1.1-preview.1."""

_log = logging.getLogger(__name__)


async def collect_result(app: App, message: CollectMessage) -> None:
    """Bring a session to its end, or put the message back for later.

    Raises `StorageUnavailable` only where not even that was possible: then the host delivers the message again.
    """
    try:
        delay = await _collect(app, message)
    except (BrokerError, EventsUnavailable) as trouble:
        delay = after_trouble(message.attempt, getattr(trouble, "retry_after", None) or 0.0)
        log_event(
            _log,
            logging.WARNING,
            "collect_failed",
            sessionId=message.session_id,
            attempt=message.attempt,
            error=type(trouble).__name__,
            detail=trouble.detail or None,
        )
    if delay is not None:
        await app.queue.send(message.again().to_text(), delay)


async def _collect(app: App, message: CollectMessage) -> float | None:
    """Go as far as possible; answer in how many seconds to look again, or None where all is done."""
    stored = await app.sessions.get(message.session_id)
    if stored is None:
        await _undone(app, message)
        return None
    stored = await _settled(app, stored)
    record = stored.record
    if not record.final and not record.revoked:
        return until_next_look(message.attempt, _remaining(app, record))
    if record.final:
        stored = await _published(app, stored)
    await _deleted_upstream(app, stored)
    return None


async def _undone(app: App, message: CollectMessage) -> None:
    """End a session that nobody has heard of: its create was undone, or died before there was a record.

    Or it is older than records are kept: Face has forgotten it then, and says that it is gone.
    """
    log_event(_log, logging.WARNING, "collect_unknown_session", sessionId=message.session_id)
    await app.face.delete(message.session_id, _request_id())


async def _settled(app: App, stored: Stored) -> Stored:
    """The record with its outcome, if there is one by now."""
    record = stored.record
    if record.final or record.revoked:
        return stored
    try:
        result = await app.face.result(record.session_id, _request_id())
    except UpstreamSessionGone:
        return await app.sessions.change(stored, lambda record: record.expired(app.clock()))
    except (UpstreamError, KeyUnavailable) as trouble:
        if (remaining := _remaining(app, record)) > 0:
            # However long Face wants to be left alone: once more it is asked while it still knows the session.
            trouble.retry_after = min(trouble.retry_after or 0.0, remaining)
            raise
    else:
        stored = await app.sessions.change(stored, lambda record: record.with_result(result, app.clock()))
    if _remaining(app, record) <= 0:
        stored = await app.sessions.change(stored, lambda record: record.expired(app.clock()))
    return stored


async def _published(app: App, stored: Stored) -> Stored:
    """The record after its event was taken."""
    record = stored.record
    if record.published_at is not None:
        return stored
    await _charge_failure(app, record)
    event = event_of(record, app.settings.region)
    await app.publisher.publish(event)
    log_event(
        _log,
        logging.INFO,
        "event_published",
        eventType=event["type"],
        eventId=event["id"],
        sessionId=record.session_id,
    )
    return await app.sessions.change(stored, lambda record: record.as_published(app.clock()))


async def _charge_failure(app: App, record: SessionRecord) -> None:
    """Enter a check that did not pass; one that was never made counts for nothing."""
    if record.status is SessionStatus.RESULT_AVAILABLE and not record.passed(None):
        key, limit = app.limits.of_failure(record.device)
        await app.limiter.charge(key, limit, record.completed_at or record.created_at)


async def _deleted_upstream(app: App, stored: Stored) -> None:
    """Have Face forget the session, its image included, unless it has done so by itself."""
    record = stored.record
    if record.deleted_upstream or not (app.settings.delete_after_result or record.revoked):
        return
    if app.clock() >= record.created_at + FORGOTTEN_MS:
        return
    await app.face.delete(record.session_id, _request_id())
    await app.sessions.change(stored, lambda record: record.as_deleted_upstream(app.clock()))


def _remaining(app: App, record: SessionRecord) -> float:
    """Seconds until the deadline."""
    return (record.created_at + DEADLINE_MS - app.clock()) / 1000


def _request_id() -> str:
    return str(uuid.uuid4())
