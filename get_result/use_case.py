"""Reading a result: from the record once it is final, before that from Face, within a limit for each session."""

from dataclasses import field, replace

from shared.access import Caller
from shared.app import App
from shared.errors import EntityChanged, SessionNotFound, UpstreamSessionGone, UpstreamThrottled
from shared.face.model import Reader
from shared.sessions.record import SessionRecord
from shared.sessions.store import Stored
from shared.values import immutable

POLL_MS = 2_000
"""When to ask again for a result that is not there yet. A passive check takes some twelve seconds."""


@immutable
class ResultQuery:
    """The session that is asked for, the proof that it was given to the caller, and the digest of the phone's SDK."""

    session_id: str
    auth_token: str | None = field(repr=False)
    caller: Caller
    request_id: str
    digest: str | None = None


@immutable
class ResultState:
    """The session as it is now, and in how many milliseconds to ask again; None if it is final."""

    record: SessionRecord
    retry_after_ms: int | None


async def get_result(app: App, query: ResultQuery) -> ResultState:
    """Return the state of a session; raises `SessionNotFound`, and the errors of Face and the store."""
    if query.caller.operator and query.auth_token is None:
        found = await app.access.find_any(query.session_id, query.caller, query.request_id)
        # Only the phone's own digest says what the phone saw.
        query = replace(query, digest=None)
    else:
        found = await app.access.find(query.session_id, query.auth_token, query.caller)
    if found.record.revoked:
        raise SessionNotFound
    stored, wait = (found, 0) if found.record.final else await _refreshed(app, found, query)
    # The digest of a poll that did not ask Face is kept here. Another request may have written the outcome.
    stored = await app.sessions.change(stored, lambda record: record.with_digest(query.digest))
    record = stored.record
    app.suspects.know(record)
    app.suspects.examine()
    # A check that was read while the session was revoked counts, too.
    await app.checks.hasten(found.record, record)
    if record.revoked:
        raise SessionNotFound
    return ResultState(
        record, None if record.final else max(wait, POLL_MS, _opens_at(app, record) - app.clock())
    )


async def _refreshed(app: App, stored: Stored, query: ResultQuery) -> tuple[Stored, int]:
    """The record after Face was asked, if the limit allows that, and for how many milliseconds Face has no room.

    If another poll came first, its record counts.
    """
    policy, now = app.settings.throttle_result, app.clock()
    before = stored.record
    # The digest is kept before Face is asked: it counts even if this request gets no answer.
    record = before.with_digest(query.digest)
    if policy.windows:
        if _opens_at(app, before, query.digest) > now:
            return stored, 0
        record = replace(record, reads=policy.admit(record.reads, now))
    try:
        stored = await app.sessions.replace(stored, record)
    except EntityChanged:
        return await app.sessions.reload(record.session_id), 0
    try:
        return await app.checks.read(stored, query.request_id, await _reader(app, before, query)), 0
    except UpstreamThrottled as full:
        # Neither Face nor this instance has room for a read now. The phone gets what is known, and asks again.
        return stored, round((full.retry_after or 0.0) * 1000)
    except UpstreamSessionGone:
        return await app.checks.gone(stored), 0


async def _reader(app: App, record: SessionRecord, query: ResultQuery) -> Reader:
    """Who asks, in this order: the signed-in caller, the address, or the session where nothing else is known."""
    caller = await query.caller.pseudonym(app.pseudonyms)
    name = caller or query.caller.network or record.session_id
    return Reader(name, again=bool(record.reads) and not _brings_digest(record, query.digest))


def _opens_at(app: App, record: SessionRecord, digest: str | None = None) -> int:
    """From when on Face may be asked again (unix milliseconds), by a poll that brings a digest or none.

    The first digest says that the phone made a check: it does not wait as a session that nobody started does.
    """
    policy = app.settings.throttle_result
    opens_at = policy.opens_at(record.reads)
    if not policy.windows or _brings_digest(record, digest):
        return opens_at
    return max(opens_at, record.idle_until)


def _brings_digest(record: SessionRecord, digest: str | None) -> bool:
    """Whether a poll brings the first digest of a session."""
    return digest is not None and record.sent_digest is None
