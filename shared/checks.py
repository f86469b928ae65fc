"""What Face knows of a check, brought into the session's record; used by each function that reads a result."""

import asyncio
import logging
from collections.abc import Awaitable

from shared.errors import StorageUnavailable
from shared.face.model import BY_BROKER, Face, Reader
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import MessageQueue
from shared.sessions.record import SessionRecord
from shared.sessions.store import Sessions, Stored
from shared.telemetry import log_event
from shared.text import Clock
from shared.throttle.limiter import Limiter
from shared.throttle.policy import failure_stamp
from shared.throttle.subjects import Subjects
from shared.values import immutable

_log = logging.getLogger(__name__)


@immutable
class Checks:
    """Reads results from Face, keeps them in the records of their sessions, and charges failed attempts."""

    face: Face
    sessions: Sessions
    limiter: Limiter
    subjects: Subjects
    queue: MessageQueue
    clock: Clock

    async def read(self, stored: Stored, request_id: str, reader: Reader = BY_BROKER) -> Stored:
        """Ask Face for the result, and keep it. A final record stays.

        Raises `UpstreamSessionGone`, and the errors of Face and the store.
        """
        before = stored.record
        result = await self.face.result(
            before.session_id, request_id, api_version=before.face_api_version, reader=reader
        )
        stored = await self.sessions.change(stored, lambda record: record.with_result(result, self.clock()))
        record = stored.record
        if record.final and not before.final:
            log_event(
                _log,
                logging.INFO,
                "session_ended",
                sessionId=record.session_id,
                requestId=request_id,
                device=record.device,
                caller=record.caller,
                decision=record.decision,
                attempts=record.attempts,
                failedAttempts=len(record.failed_at),
                awaitsDigest=record.awaits_digest or None,
            )
        if record.abuse_detected and not before.abuse_detected:
            log_event(
                _log,
                logging.WARNING,
                "abuse_detected",
                sessionId=record.session_id,
                requestId=request_id,
                upstreamRequestId=record.upstream_request_id,
                flaggedSessions=" ".join(record.flagged_sessions) or None,
            )
        return stored

    async def gone(self, stored: Stored) -> Stored:
        """Record that Face does not know the session; raises `UpstreamFailure` while Face must, and `SessionNotFound`.

        Another request may have ended the session meanwhile, and deleted it. So the record is read again.
        """
        stored = await self.sessions.reload(stored.record.session_id)
        return await self.sessions.change(stored, lambda record: record.gone(self.clock()))

    async def delete(self, stored: Stored, request_id: str, *, follows: bool) -> None:
        """Delete the session at Face with its image, and record that; raises the errors of Face and the store.

        With `follows`, which is for right after a read, the deletion does not wait for its turn: below one call a
        second it would never get one.
        """
        record = stored.record
        await self.face.delete(
            record.session_id, request_id, api_version=record.face_api_version, follows=follows
        )
        await self.sessions.change(stored, lambda record: record.as_deleted_upstream(self.clock()))

    async def charge(self, record: SessionRecord) -> None:
        """Charge each attempt that decided anything but `realface`: once, however often this is called.

        The event is published only after all were charged. Raises `StorageUnavailable`.
        """
        if not record.failed_at or record.published_at is not None:
            return
        stamps = [failure_stamp(at, record.device, record.session_id) for at in record.failed_at]
        for key, limit in self.subjects.of_failure(record):
            await self.limiter.charge(key, limit, *stamps)

    async def hasten(self, before: SessionRecord, record: SessionRecord) -> None:
        """Do at once what the collector would do later: charge failed attempts, and have the event published.

        Each call charges all failed attempts, because an earlier charge may have failed. If store or queue fail here,
        the collector does it when the message of the create comes.
        """
        steps: list[Awaitable[None]] = [self.charge(record)]
        if record.owes_event and _tells(record) and not _tells(before):
            message = CollectMessage(record.session_id, Reason.POLL, traceparent=record.traceparent)
            steps.append(self.queue.send(message.to_text(), 0))
        for fault in await asyncio.gather(*steps, return_exceptions=True):
            if isinstance(fault, StorageUnavailable):
                log_event(_log, logging.WARNING, "event_not_hastened", detail=fault.detail)
            elif fault is not None:
                raise fault


def _tells(record: SessionRecord) -> bool:
    """Whether the record has all that its event says."""
    return record.final and (record.revoked or not record.awaits_digest)
