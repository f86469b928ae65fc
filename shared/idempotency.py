"""Idempotency keys: a request that is sent twice is run once, and gets one answer.

After draft-ietf-httpapi-idempotency-key-header. One row stands for a key, and goes through these phases:

1. claimed: inserted only if absent, with the mark of its owner, for the time of a lease. A process that dies blocks its
   key no longer than that.
2. answered: the owner replaces its claim by the sealed answer. From then on until it expires, the row never changes,
   and each repeat of the request gets this answer.

A claim whose request failed is deleted, so that the key can be tried again. Claims are replaced and deleted under
their etag, so an owner that was slower than its lease changes nothing.

While the pepper is rotated, a key may have a row under each pepper. A process claims the row of its first pepper, and
then looks at the others. So of two processes with different first peppers, at least one finds the claim of the other.
"""

import base64
import hmac
import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field, replace
from typing import Any

from shared.errors import (
    ClientThrottled,
    EntityChanged,
    EntityExists,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
    StorageUnavailable,
)
from shared.pseudonyms import Pepper, Pseudonyms
from shared.storage import columns
from shared.storage.port import Entity, EntityStore, Table
from shared.text import Clock
from shared.throttle.limiter import LocalLimit
from shared.values import immutable

LEASE_MS = 32_000
"""Longer than a create can take: 8 s at Face, 5 s for its admission, and nine calls of store and queue at 2 s each.

A create during a rotation of the pepper has one or two calls more: at worst it finds that it has lost its claim.
"""

_POLL_SECONDS = 1.0
_REPEATS = "10/10s"
"""How often a key may be used again: each time costs calls of the store, and no other limit counts it."""

_OWNER_BYTES = 16
NONCE_BYTES = 12
"""Of AES-256-GCM."""


@immutable
class RequestKey:
    """An idempotency key and what it stands for: whose it is, and all that makes the request this one."""

    principal: str
    key: str = field(repr=False)
    request: str = field(repr=False)


@immutable
class Answer:
    """The answer to a request as JSON values, until a time in unix milliseconds; `replayed` if it was stored before."""

    content: Mapping[str, Any] = field(repr=False)
    expires_at: int
    replayed: bool = False


@immutable
class _Names:
    """What is derived from a request key: the key of its row, the key that seals its answer, the request's hash."""

    row: str
    seal: bytes = field(repr=False)
    fingerprint: str


def parse_key(value: str) -> str:
    """Read the header field: 16 to 128 of `A-Za-z0-9_-`, bare, in quotes or braces; raises `InvalidIdempotencyKey`."""
    for opening, closing in ('""', "{}"):
        if value.startswith(opening) and value.endswith(closing):
            value = value[1:-1]
    if not re.fullmatch("[A-Za-z0-9_-]{16,128}", value):
        raise InvalidIdempotencyKey
    return value


class Idempotency:
    """Runs requests once for each key; rows are named by hashes, and sealed with a key derived from the client's."""

    def __init__(self, store: EntityStore, pseudonyms: Pseudonyms, clock: Clock) -> None:
        self._store = store
        self._pseudonyms = pseudonyms
        self._clock = clock
        self._repeats = LocalLimit(_REPEATS, clock)

    async def once(
        self,
        key: RequestKey,
        work: Callable[[bool, str], Awaitable[Answer]],
        undo: Callable[[Answer], Awaitable[None]],
    ) -> Answer:
        """Run `work` and store its answer, or return the answer that an earlier request with the key got.

        `work` is called with two arguments. The first is true if an earlier request with the key began and never ended,
        because its process died. The second is the key of the row that will hold the answer.

        Where the answer cannot be stored, `undo` is run if it is certain that no repeat can get the answer.
        Raises `IdempotencyInProgress` while the first request runs, `IdempotencyKeyReused` where the key stands for
        another request, `ClientThrottled` where it is repeated too often, `StorageUnavailable`, and what `work`
        raises; after that the key can be tried again.
        """
        names, *others = await self._derive(key)
        if wait := max([self._repeats.wait_ms(one.row) for one in (names, *others)]):
            raise ClientThrottled("limit repeats", retry_after=wait / 1000)
        claim = await self._claim(names)
        if isinstance(claim, Answer):
            return claim
        try:
            again = "again" in claim.values
            for other in others:
                found = await self._taken_over(other)
                if isinstance(found, Answer):
                    await self._release(claim)
                    return found
                again |= found
            answer = await work(again, names.row)
        except Exception:
            await self._release(claim)
            raise
        try:
            await self._store.replace(Table.IDEMPOTENCY, self._sealed(claim, names, answer))
        except EntityChanged as lost:
            await undo(answer)
            raise IdempotencyInProgress("the key was taken over") from lost
        except StorageUnavailable as failure:
            # The write may have happened. If the claim is still there, it did not, and nobody got the answer.
            if await self._release(claim):
                await undo(answer)
            raise StorageUnavailable("the answer could not be stored") from failure
        return answer

    async def find(self, key: RequestKey) -> Answer | None:
        """Look for a stored answer without claiming the key; raises as `once` does."""
        for names in await self._derive(key):
            stored = await self._store.get(Table.IDEMPOTENCY, names.row)
            if stored and (answer := self._opened(stored, names)):
                return answer
        return None

    async def _derive(self, key: RequestKey) -> list[_Names]:
        """The names of a key under each pepper."""
        return [_names(key, pepper) for pepper in await self._pseudonyms.peppers()]

    async def _claim(self, names: _Names) -> Entity | Answer:
        """Claim the key, or return the answer that is stored under it."""
        owner = os.urandom(_OWNER_BYTES).hex()
        values = {"fingerprint": names.fingerprint, "owner": owner}
        claim = Entity(names.row, values, self._clock() + LEASE_MS)
        try:
            return await self._write_claim(claim, names)
        except StorageUnavailable:
            # The claim may be stored all the same, and would block the key for its lease.
            return await self._write_claim(claim, names)

    async def _write_claim(self, claim: Entity, names: _Names) -> Entity | Answer:
        try:
            return await self._store.insert(Table.IDEMPOTENCY, claim)
        except EntityExists:
            self._repeats.count(names.row)
            stored = await self._store.get(Table.IDEMPOTENCY, names.row)
        if stored and stored.values.get("owner") == claim.values["owner"]:
            return stored
        if stored and (answer := self._opened(stored, names)):
            return answer
        # The lease has ended, or the answer has expired: the key is free again.
        try:
            if stored is None:
                return await self._store.insert(Table.IDEMPOTENCY, claim)
            again = {} if "answer" in stored.values else {"again": True}
            taken = replace(claim, values={**claim.values, **again}, etag=stored.etag)
            return await self._store.replace(Table.IDEMPOTENCY, taken)
        except (EntityExists, EntityChanged) as lost:
            raise IdempotencyInProgress(retry_after=_POLL_SECONDS) from lost

    async def _taken_over(self, names: _Names) -> Answer | bool:
        """The answer under another pepper, or else whether an earlier request under it never ended.

        A row that has expired is deleted, so that its owner, if it still runs, cannot store an answer there.
        """
        stored = await self._store.get(Table.IDEMPOTENCY, names.row)
        if stored is None:
            return False
        self._repeats.count(names.row)
        if answer := self._opened(stored, names):
            return answer
        try:
            await self._store.delete(Table.IDEMPOTENCY, stored.key, stored.etag)
        except EntityChanged as lost:
            raise IdempotencyInProgress(retry_after=_POLL_SECONDS) from lost
        return "answer" not in stored.values

    def _opened(self, stored: Entity, names: _Names) -> Answer | None:
        """The answer in a row, or None where the row has expired; raises as `once` does."""
        remaining = stored.expires_at - self._clock()
        if remaining <= 0:
            return None
        try:
            fingerprint = columns.text(stored.values["fingerprint"])
            sealed = base64.b64decode(columns.text(stored.values.get("answer", "")), validate=True)
        except (KeyError, ValueError) as fault:
            # Not taken for a free key: a repeat could be given a second session.
            raise StorageUnavailable("an idempotency row cannot be read", lasting=True) from fault
        if not hmac.compare_digest(fingerprint.encode(), names.fingerprint.encode()):
            raise IdempotencyKeyReused
        if "answer" not in stored.values:
            raise IdempotencyInProgress(retry_after=min(_POLL_SECONDS, remaining / 1000))
        content = unseal(names.seal, sealed, names.row.encode())
        if content is None:
            raise StorageUnavailable("a stored answer cannot be opened", lasting=True)
        return Answer(json.loads(content), stored.expires_at, replayed=True)

    def _sealed(self, claim: Entity, names: _Names, answer: Answer) -> Entity:
        sealed = seal(names.seal, json.dumps(answer.content).encode(), names.row.encode())
        values = {**claim.values, "answer": base64.b64encode(sealed).decode()}
        return replace(claim, values=values, expires_at=answer.expires_at)

    async def _release(self, claim: Entity) -> bool:
        """Delete the claim; True where it was certainly still there, without an answer."""
        try:
            await self._store.delete(Table.IDEMPOTENCY, claim.key, claim.etag)
        except (EntityChanged, StorageUnavailable):
            return False
        return True


def _names(key: RequestKey, pepper: Pepper) -> _Names:
    # Under the pepper too: nobody can open a stolen table by guessing weak keys.
    root = pepper.digest("idempotency", key.principal, key.key)
    return _Names(
        hmac.digest(root, b"row", "sha256").hex(),
        hmac.digest(root, b"seal", "sha256"),
        hmac.digest(root, b"request" + key.request.encode(), "sha256").hex(),
    )


def seal(key: bytes, content: bytes, bound_to: bytes) -> bytes:
    """Encrypt under a 32-byte key by AES-256-GCM, the nonce in front; opening needs the same `bound_to`."""
    # Imported late: it takes longer to load than most requests take, and few need it.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes | None:
    """Decrypt, or return None where the content was not sealed under this key and `bound_to`."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        # A `ValueError` is about a nonce that is too short.
        return None
