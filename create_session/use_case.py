"""Creating a session: one admission, one session at Face, one record; or none of them."""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from shared.access import Caller
from shared.app import App
from shared.errors import (
    BrokerError,
    EntityExists,
    IdempotencyKeyReused,
    KeyUnavailable,
    StorageUnavailable,
    UpstreamFailure,
    UpstreamTimeout,
)
from shared.face.model import CreatedSession, SessionSpec
from shared.idempotency import Answer, RequestKey
from shared.pseudonyms import Pepper
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import EXPIRY_GRACE_MS, SessionRecord, Step, token_hash
from shared.telemetry import log_event
from shared.throttle.limiter import Admission, Subject
from shared.throttle.subjects import rows_of
from shared.values import immutable

_log = logging.getLogger(__name__)

SWEEP_AFTER_SECONDS = EXPIRY_GRACE_MS // 1000 + 5
"""How long after the token's end the sweep looks at a session: by then its record can be settled."""


@immutable
class CreateCommand:
    """A request for a session; `fingerprint` holds all that makes it equal to a repeat of itself.

    `client_reference` is the transaction, and `on_behalf_of` the person that a server creates the session for.
    """

    spec: SessionSpec
    device_id: str = field(repr=False)
    client_reference: str | None
    caller: Caller
    on_behalf_of: str | None = field(default=None, repr=False, kw_only=True)
    idempotency_key: str | None = field(repr=False)
    fingerprint: str = field(repr=False)
    request_id: str
    traceparent: str | None = None

    @property
    def principal(self) -> str | None:
        """The name in events: the person that a server creates the session for, or else the caller."""
        return self.on_behalf_of or self.caller.principal

    @property
    def client_reference_from(self) -> Literal["token", "caller"] | None:
        """What named the transaction: the caller's access token, or the body."""
        if self.client_reference is None:
            return None
        return "token" if self.client_reference == self.caller.client_reference else "caller"


@immutable
class Created:
    """What the phone is given; `expires_at` in unix milliseconds."""

    session_id: str
    auth_token: str = field(repr=False)
    expires_at: int
    rate_limit: Mapping[str, str]


async def create_session(app: App, command: CreateCommand, deadline: float = math.inf) -> Created:
    """Create a session, or answer again what was answered under the same idempotency key.

    Raises the errors of the limiter, of Face and of the store. Whatever fails, no session is left that somebody could
    use without a record of it, and the idempotency key can be tried again.

    At `deadline`, in the event loop's time, raises the error of what it waits for. The create goes on: its session is
    the answer to a repeat under its key, or is undone without a key.
    """
    caller, subjects, identities = command.caller, list[Subject](), list[_Identity]()
    for pepper in await app.pseudonyms.peppers():
        identity = _Identity.of(command, pepper)
        identities.append(identity)
        subjects += app.subjects.of_create(
            pepper,
            identity.device,
            identity.person,
            caller.network,
            identity.transaction,
            names=(caller.client_id, caller.issuer),
        )
    create = _Create(app, command, identities, subjects)
    try:
        answer = await app.background.answer_by(deadline, create.answer(), create.end_late)
    except TimeoutError as late:
        raise create.failure or create.waits_for("the create took too long") from late
    except BrokerError as error:
        error.device = identities[0].device
        raise
    create.log(answer)
    content = answer.content
    return Created(content["session_id"], content["auth_token"], content["expires_at"], content["rate_limit"])


@immutable
class _Identity:
    """Who asks for a session, and for whom, as pseudonyms under one pepper; `person` is who the session is for."""

    device: str
    caller: str | None
    person: str | None
    transaction: str | None
    address: str | None

    @classmethod
    def of(cls, command: CreateCommand, pepper: Pepper) -> Self:
        device_of: tuple[str, ...] = (command.device_id,)
        caller = person = None
        if principal := command.caller.principal:
            # A stranger who sends the id of somebody's device must not use up its limits.
            device_of = (principal, command.device_id)
            caller = person = pepper.of("principal", principal)
            if command.on_behalf_of and command.on_behalf_of != principal:
                # Each person that a server names has limits of its own, apart for each server.
                person = pepper.of("person", caller, command.on_behalf_of)
        network = command.caller.network
        return cls(
            device=pepper.of("device", *device_of),
            caller=caller,
            person=person,
            transaction=_transaction(command, pepper),
            address=None if network is None else pepper.of("client", network),
        )


def _transaction(command: CreateCommand, pepper: Pepper) -> str | None:
    """The pseudonym of the transaction for the limits; None without a transaction, or without sign-in.

    A transaction from a token has one limit for its issuer, or its Entra tenant, over all callers. A transaction from a
    body has a limit for its caller alone, so that no caller can use up the limit of another one.
    """
    caller, reference = command.caller, command.client_reference
    owner = caller.authority if command.client_reference_from == "token" else caller.principal
    if reference is None or owner is None:
        return None
    return pepper.of("transaction", command.client_reference_from or "", owner, reference)


def _request_key(command: CreateCommand) -> RequestKey | None:
    if command.idempotency_key is None:
        return None
    return RequestKey(command.caller.principal or "", command.idempotency_key, command.fingerprint)


@dataclass(slots=True)
class _Create:
    """One create on its way.

    `identities` has one for each pepper; the first one is what the record, the log and the errors name. `subjects` are
    the rows that limits count in, and `admission` is what the create was charged. `waits_for`: the error to raise if
    time ends now; `failure`: the error of Face, once it failed.
    """

    app: App
    command: CreateCommand
    identities: Sequence[_Identity]
    subjects: Sequence[Subject]
    admission: Admission = field(default_factory=Admission)
    waits_for: type[BrokerError] = KeyUnavailable
    failure: Exception | None = None

    async def answer(self) -> Answer:
        """Make a session, or find the answer that was given before."""
        app, key = self.app, _request_key(self.command)
        self.waits_for = StorageUnavailable
        try:
            app.limiter.require_not_refused(self.subjects)
            app.face.require_room()
        except BrokerError:
            # Refused before it touches the store. But a request that was answered is answered again.
            answer = await self._found(key) if key else None
            if answer is None:
                raise
        else:
            answer = await (app.idempotency.once(key, self._first, self._undo) if key else self._first())
        if answer.replayed:
            await self._require_not_revoked(answer)
        return answer

    async def end_late(self, answer: Answer) -> None:
        """End a create whose phone got an error meanwhile."""
        if self.command.idempotency_key is None:
            # Nobody can ask for it again.
            await self._undo(answer)
        else:
            self.log(answer)

    def log(self, answer: Answer) -> None:
        """Log a new session. The alert for missing events starts from this line."""
        if not answer.replayed:
            log_event(
                _log,
                logging.INFO,
                "session_created",
                sessionId=answer.content["session_id"],
                device=self.identities[0].device,
                caller=self.identities[0].caller,
                address=self.identities[0].address,
                onBehalfOf=True if self.command.on_behalf_of else None,
                requestId=self.command.request_id,
                tokenLifetimeSeconds=self.command.spec.token_lifetime,
            )

    async def _found(self, key: RequestKey) -> Answer | None:
        """The stored answer of a request that is refused now, if there is one."""
        # A flood of refused requests with ever new keys and devices must hardly read.
        asker = self.identities[0].person or self.command.caller.network or ""
        if self.app.second_looks.wait_ms(asker):
            return None
        self.app.second_looks.count(asker)
        return await self.app.idempotency.find(key)

    async def _require_not_revoked(self, answer: Answer) -> None:
        """Raise `IdempotencyKeyReused` where the session of a stored answer cannot be used any more."""
        stored = await self.app.sessions.get(answer.content["session_id"])
        if stored is None or stored.record.revoked:
            raise IdempotencyKeyReused("its session was revoked")

    async def _first(self, again: bool = False, answer_row: str | None = None) -> Answer:
        """Admit the request, make the session, keep it. The record names the row that its answer is kept in.

        Where the process of an earlier request with this key died, its charge counts for this one.
        """
        if not again:
            own = self.identities[0]
            self.admission = await self.app.limiter.admit(
                self.subjects, device=own.device, caller=own.caller, address=own.address
            )
        created_at = self.app.clock()
        self.waits_for = UpstreamTimeout
        try:
            made = await self.app.face.create(self.command.spec, self.command.request_id)
        except Exception as failure:
            # Face may have made a session, but nobody was given it.
            self.failure = failure
            await self.app.limiter.refund(self.admission)
            raise
        self.waits_for = StorageUnavailable
        expires_at = created_at + self.command.spec.token_lifetime * 1000
        content = {
            "session_id": made.session_id,
            "auth_token": made.auth_token,
            "expires_at": expires_at,
            "rate_limit": dict(self.admission.rate_limit),
        }
        answer = Answer(content, expires_at)
        try:
            await self._keep(made, created_at, expires_at, answer_row)
        except EntityExists as taken:
            # The id belongs to an earlier session, which is not this create's to delete.
            self.failure = UpstreamFailure("Face gave an id twice", request_sent=True)
            await self.app.limiter.refund(self.admission)
            raise self.failure from taken
        except Exception as failure:
            await self._undo(answer)
            if isinstance(failure, StorageUnavailable | KeyUnavailable):
                raise StorageUnavailable("the session could not be recorded") from failure
            raise
        return answer

    async def _keep(
        self, made: CreatedSession, created_at: int, expires_at: int, answer_row: str | None
    ) -> None:
        """Send the sweep, then write the record: whenever the process dies, a recorded session has its end."""
        command, own = self.command, self.identities[0]
        sweep = CollectMessage(made.session_id, Reason.SWEEP, traceparent=command.traceparent)
        await self.app.queue.send(sweep.to_text(), command.spec.token_lifetime + SWEEP_AFTER_SECONDS)
        record = SessionRecord(
            session_id=made.session_id,
            token_hash=token_hash(made.auth_token),
            device=own.device,
            created_at=created_at,
            token_expires_at=expires_at,
            caller=own.caller,
            principal=command.principal,
            answer_row=answer_row,
            limit_rows=tuple([key for one in self.identities for key in rows_of(one.device, one.person)]),
            client_reference=command.client_reference,
            client_reference_from=command.client_reference_from,
            face_api_version=self.app.face.api_version,
            region=self.app.settings.region,
            digest_required=self.app.settings.require_digest,
            abuse_is_failure=self.app.settings.abuse_is_failure,
            traceparent=command.traceparent,
            history=((created_at, Step.CREATED),),
        )
        await self.app.sessions.add(record)
        self.app.suspects.know(record)

    async def _undo(self, answer: Answer) -> None:
        """Take the charge back, and delete the session here and at Face, as far as possible.

        Nobody has its token, and the sweep ends it.
        """
        session_id = answer.content["session_id"]
        await asyncio.gather(
            self.app.limiter.refund(self.admission),
            self.app.face.delete(session_id, self.command.request_id, follows=True),
            self.app.sessions.remove(session_id),
            return_exceptions=True,
        )
