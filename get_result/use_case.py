"""Reading a result: from the record once it is final, before that from Face, within a limit for each session."""

import logging
from dataclasses import dataclass, field, replace

from shared.access import Caller
from shared.app import App
from shared.errors import (
    EntityChanged,
    SessionNotFound,
    StorageUnavailable,
    UpstreamSessionGone,
    UpstreamThrottled,
)
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import SessionRecord
from shared.sessions.store import Stored
from shared.telemetry import log_event

_log = logging.getLogger(__name__)

POLL_MS = 2_000
"""When to ask again for a result that is not there yet. A passive check takes some twelve seconds."""


@dataclass(frozen=True, slots=True)
class ResultQuery:
    """The session that is asked for, and the proof that it was given to the caller."""

    session_id: str
    auth_token: str | None = field(repr=False)
    caller: Caller
    request_id: str


@dataclass(frozen=True, slots=True)
class ResultState:
    """The session as it is now, and in how many milliseconds to ask again; None if it is final."""

    record: SessionRecord
    retry_after_ms: int | None


async def get_result(app: App, query: ResultQuery) -> ResultState:
    """Return the state of a session; raises `SessionNotFound`, and the errors of Face and the store."""
    if query.caller.operator and query.auth_token is None:
        stored = await app.access.find_any(query.session_id, query.caller, query.request_id)
    else:
        stored = await app.access.find(query.session_id, query.auth_token, query.caller)
    if not stored.record.final:
        stored = await _refreshed(app, stored, query.request_id)
    record = stored.record
    if record.revoked:
        raise SessionNotFound
    return ResultState(record, None if record.final else _wait(app, record))


async def _refreshed(app: App, stored: Stored, request_id: str) -> Stored:
    """The record after Face was asked, if the limit allows that. If another writer came first, its record counts."""
    policy, record, now = app.settings.throttle_result, stored.record, app.clock()
    try:
        if policy.windows:
            if not policy.check(record.reads, now).allowed:
                return stored
            reads = policy.admit(record.reads, now)
            stored = await app.sessions.replace(stored, replace(record, reads=reads))
        stored = await _asked(app, stored, request_id)
    except EntityChanged:
        return await app.sessions.reload(record.session_id)
    if stored.record.final:
        await _hasten_event(app, stored.record)
    return stored


async def _asked(app: App, stored: Stored, request_id: str) -> Stored:
    """The record with Face's answer."""
    record = stored.record
    try:
        result = await app.face.result(record.session_id, request_id, api_version=record.face_api_version)
    except UpstreamThrottled as full:
        if full.request_sent:
            raise
        # This instance makes no more calls to Face now. The phone gets what is known, and asks again.
        return stored
    except UpstreamSessionGone:
        # The collector or the phone may have ended the session meanwhile, and deleted it.
        stored = await app.sessions.reload(record.session_id)
        return await app.sessions.replace(stored, stored.record.gone(app.clock()))
    return await app.sessions.replace(stored, record.with_result(result, app.clock()))


async def _hasten_event(app: App, record: SessionRecord) -> None:
    """Have the event published now. If that fails, the message of the create does it later."""
    message = CollectMessage(record.session_id, Reason.POLL, traceparent=record.traceparent)
    try:
        await app.queue.send(message.to_text(), 0)
    except StorageUnavailable as fault:
        log_event(_log, logging.WARNING, "event_not_hastened", detail=fault.detail)


def _wait(app: App, record: SessionRecord) -> int:
    return max(POLL_MS, app.settings.throttle_result.check(record.reads, app.clock()).retry_after_ms)
