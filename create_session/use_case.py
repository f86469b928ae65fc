"""Creating a session: one admission, one upstream session, one record; or none of them."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from shared.access import Caller
from shared.app import App
from shared.concurrency import side_by_side
from shared.errors import (
    BrokerError,
    EntityChanged,
    EntityExists,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    KeyUnavailable,
    Outcome,
    StorageUnavailable,
    UpstreamError,
)
from shared.face.model import CreatedSession, SessionSpec
from shared.idempotency import Claim, StoredAnswer
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import EXPIRY_GRACE_MS, SessionRecord, Step, token_hash
from shared.telemetry import log_event
from shared.throttle.limiter import Admission, Subject

_log = logging.getLogger(__name__)

SWEEP_AFTER_SECONDS = EXPIRY_GRACE_MS // 1000 + 5
"""How long after the token's end the sweep looks at a session: when the record can be settled."""


@dataclass(frozen=True, slots=True)
class CreateCommand:
    """What is asked for; `fingerprint` is all of the request that makes it this one and no other."""

    spec: SessionSpec
    device_id: str = field(repr=False)
    client_reference: str | None
    caller: Caller
    idempotency_key: str | None = field(repr=False)
    fingerprint: str = field(repr=False)
    request_id: str
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """What the phone is given; `expires_at` in unix milliseconds."""

    session_id: str
    auth_token: str = field(repr=False)
    expires_at: int
    rate_limit: Mapping[str, str]


async def create_session(app: App, command: CreateCommand) -> Created:
    """Create a session, or give the answer again that was given under the same idempotency key.

    Raises what throttles, the upstream or the store say. Whatever fails, no session is left that somebody could use
    without a record of it, and the idempotency key can be tried again.
    """
    device = await app.pseudonyms.of("device", command.device_id)
    subjects = await app.subjects.of_create(device, command.caller.principal, command.caller.network)
    found = await _claim(app, command, subjects)
    if isinstance(found, StoredAnswer):
        return await _replay(app, command, device, found)
    return await _create(app, command, device, subjects, found)


async def _claim(app: App, command: CreateCommand, subjects: list[Subject]) -> Claim | StoredAnswer | None:
    """The right to run the request, or the answer that it had; None where it has no idempotency key.

    A request that has no chance is refused here, before it has touched the store: by a refusal that is remembered, or
    because there is no room at Face.
    """
    if command.idempotency_key is None:
        _require_a_chance(app, subjects)
        return None
    key = (command.caller.principal or "", command.idempotency_key, command.fingerprint)
    try:
        _require_a_chance(app, subjects)
    except BrokerError:
        # A flood of refused requests must not write, and hardly read; but who was answered before is answered again.
        device = subjects[0].key
        if device in app.looked_up:
            raise
        app.looked_up[device] = True
        found = await app.idempotency.find(*key)
        if found is None:
            raise
        return found
    return await app.idempotency.begin(*key)


def _require_a_chance(app: App, subjects: list[Subject]) -> None:
    app.limiter.require_not_refused(subjects)
    app.face.require_room()


async def _replay(app: App, command: CreateCommand, device: str, answer: StoredAnswer) -> Created:
    """The stored answer; who stored it may have ended before it wrote the record, which is then written here.

    Raises `IdempotencyKeyReused` where the session was revoked since: nobody can use it any more.
    """
    created = Created(**json.loads(answer.content))
    stored = await app.sessions.get(created.session_id)
    if stored and stored.record.revoked:
        raise IdempotencyKeyReused("its session was revoked")
    if not answer.repeated:
        await app.idempotency.repeat(answer)
    if stored is None:
        with suppress(EntityExists):
            await app.sessions.add(_record(app, command, device, created))
            _log_created(command, created)
    return created


async def _create(
    app: App, command: CreateCommand, device: str, subjects: list[Subject], claim: Claim | None
) -> Created:
    try:
        admission = await app.limiter.admit(subjects)
        now = app.clock()
        made = await _create_upstream(app, command, admission)
    except BrokerError:
        if claim:
            await app.idempotency.withdraw(claim)
        raise
    expires_at = now + command.spec.token_lifetime * 1000
    created = Created(made.session_id, made.auth_token, expires_at, admission.rate_limit)
    await _keep(app, command, device, created, claim)
    _log_created(command, created)
    return created


async def _create_upstream(app: App, command: CreateCommand, admission: Admission) -> CreatedSession:
    try:
        return await app.face.create(command.spec, command.request_id)
    except (UpstreamError, KeyUnavailable) as error:
        # Only what provably never left has used nothing up.
        if not error.request_sent:
            await app.limiter.refund(admission)
        raise


async def _keep(app: App, command: CreateCommand, device: str, created: Created, claim: Claim | None) -> None:
    """Send the sweep, then write record and answer; where one fails, undo it all if nobody can hear of it.

    The sweep comes first: whatever else is there when the process dies, the session's end is on its way.
    """
    try:
        await _send_sweep(app, command, created)
    except StorageUnavailable as failure:
        # No answer is stored: nobody can hear of the session, even where the key cannot be given free.
        await _undo(app, command, created)
        if claim:
            await app.idempotency.withdraw(claim)
        raise StorageUnavailable("the session could not be recorded") from failure
    writes: list[Awaitable[object]] = [app.sessions.add(_record(app, command, device, created))]
    if claim:
        writes.append(app.idempotency.complete(claim, _content(created), created.expires_at))
    written = await side_by_side(map(_outcome, writes))
    failures = [outcome for outcome in written if isinstance(outcome, BrokerError | Outcome)]
    if claim:
        # A replay was faster, and wrote the same record.
        failures = [failure for failure in failures if not isinstance(failure, EntityExists)]
    if not failures:
        return
    if claim is None or await _withdrawn(app, claim, written[-1]):
        await _undo(app, command, created)
    if any(isinstance(failure, EntityChanged) for failure in failures):
        raise IdempotencyInProgress("the key was taken over") from failures[0]
    raise StorageUnavailable("the session could not be recorded") from failures[0]


async def _outcome(write: Awaitable[object]) -> object:
    """What a write answered, or how it failed: all of them are to end before any is judged."""
    try:
        return await write
    except (BrokerError, Outcome) as failure:
        return failure


async def _withdrawn(app: App, claim: Claim, answered: object) -> bool:
    """Whether it is certain that no replay has handed the session out, or will; else it has to stay."""
    if isinstance(answered, EntityChanged):
        return True
    return await app.idempotency.withdraw(answered if isinstance(answered, Claim) else claim)


async def _undo(app: App, command: CreateCommand, created: Created) -> None:
    """Best effort: what stays behind was never disclosed, and is ended by the sweep."""
    await asyncio.gather(
        app.face.delete(created.session_id, command.request_id),
        app.sessions.remove(created.session_id),
        return_exceptions=True,
    )


async def _send_sweep(app: App, command: CreateCommand, created: Created) -> None:
    message = CollectMessage(created.session_id, Reason.SWEEP, traceparent=command.traceparent)
    await app.queue.send(message.to_text(), command.spec.token_lifetime + SWEEP_AFTER_SECONDS)


def _record(app: App, command: CreateCommand, device: str, created: Created) -> SessionRecord:
    created_at = created.expires_at - command.spec.token_lifetime * 1000
    return SessionRecord(
        session_id=created.session_id,
        token_hash=token_hash(created.auth_token),
        device=device,
        created_at=created_at,
        token_expires_at=created.expires_at,
        principal=command.caller.principal,
        client_reference=command.client_reference,
        face_api_version=app.face.api_version,
        region=app.settings.region,
        traceparent=command.traceparent,
        history=((created_at, Step.CREATED),),
    )


def _log_created(command: CreateCommand, created: Created) -> None:
    """What the alert for missing events starts from: which session has to end, and how long that may take."""
    log_event(
        _log,
        logging.INFO,
        "session_created",
        sessionId=created.session_id,
        tokenLifetimeSeconds=command.spec.token_lifetime,
    )


def _content(created: Created) -> bytes:
    return json.dumps(
        {
            "session_id": created.session_id,
            "auth_token": created.auth_token,
            "expires_at": created.expires_at,
            "rate_limit": dict(created.rate_limit),
        }
    ).encode()
