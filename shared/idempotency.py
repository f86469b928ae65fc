"""Idempotency keys: a create that is sent twice makes one session and gets one answer.

After draft-ietf-httpapi-idempotency-key-header: insert-if-absent is the lock; whoever holds it has a lease, so that a
process that dies in between blocks its caller for no longer than that. From the moment that an answer is stored until
it expires, it is the only one of its key; whoever stored it may withdraw it only as long as nobody has repeated it.
"""

import base64
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from hmac import compare_digest

from shared.clock import Clock
from shared.errors import (
    EntityChanged,
    EntityExists,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
    StorageUnavailable,
)
from shared.pseudonyms import Pseudonyms
from shared.sealing import NONCE_BYTES, seal, unseal
from shared.storage.port import Entity, EntityStore, Table

LEASE_MS = 30_000
"""Longer than a create can take: 8 s upstream, 5 s for its admission, and a few calls of the store at 2 s each."""

_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run the request of an idempotency key, as long as nobody took it over."""

    entity: Entity
    sealing_key: bytes

    def __repr__(self) -> str:
        return f"Claim({self.entity.key[:8]})"


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What the first request was answered, or was about to be; `repeated` once `Idempotency.repeat` was called."""

    content: bytes
    entity: Entity

    @property
    def repeated(self) -> bool:
        """Whether the answer stays."""
        return "repeated" in self.entity.values

    def __repr__(self) -> str:
        return f"StoredAnswer({self.entity.key[:8]})"


def parse_key(value: str) -> str:
    """Read the header field: 16 to 128 of `A-Za-z0-9_-`, bare or quoted; raises `InvalidIdempotencyKey`."""
    found = re.fullmatch('"([A-Za-z0-9_-]{16,128})"|([A-Za-z0-9_-]{16,128})', value)
    if not found:
        raise InvalidIdempotencyKey
    return found[1] or found[2]


class Idempotency:
    """The stored answers, under the hash of principal and key, sealed with a key derived from the client's key."""

    def __init__(
        self,
        store: EntityStore,
        pseudonyms: Pseudonyms,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._pseudonyms = pseudonyms
        self._clock = clock
        self._random_bytes = random_bytes
        self._answered = False

    async def find(self, principal: str, key: str, request: str) -> StoredAnswer | None:
        """Look for the answer without claiming the key; raises as `begin` does."""
        row_key, sealing_key, fingerprint = await self._derive(principal, key, request)
        stored = await self._store.get(Table.IDEMPOTENCY, row_key)
        return self._read(stored, sealing_key, fingerprint) if stored else None

    async def begin(self, principal: str, key: str, request: str) -> Claim | StoredAnswer:
        """Claim the key, or get what its first request was answered.

        `request` is all of the request that makes it this one. Raises `IdempotencyKeyReused` for another one,
        `IdempotencyInProgress` while the first one runs.
        """
        await self._learn_the_time()
        row_key, sealing_key, fingerprint = await self._derive(principal, key, request)
        fresh = Entity(row_key, {"fingerprint": fingerprint}, self._clock() + LEASE_MS)
        try:
            return Claim(await self._store.insert(Table.IDEMPOTENCY, fresh), sealing_key)
        except EntityExists:
            stored = await self._store.get(Table.IDEMPOTENCY, row_key)
        answer = self._read(stored, sealing_key, fingerprint) if stored else None
        if answer:
            return answer
        # The lease is over (its process died), or the answer's token is: the key is free again.
        return await self._take(fresh, stored, sealing_key)

    async def complete(self, claim: Claim, content: bytes, expires_at: int) -> Claim:
        """Store the answer until `expires_at` and return the claim with it.

        Raises `EntityChanged` where the claim was taken over meanwhile: then the answer is not stored.
        """
        nonce = self._random_bytes(NONCE_BYTES)
        sealed = seal(claim.sealing_key, nonce, content, claim.entity.key.encode())
        values = {**claim.entity.values, "answer": base64.b64encode(sealed).decode()}
        answered = replace(claim.entity, values=values, expires_at=expires_at)
        return replace(claim, entity=await self._store.replace(Table.IDEMPOTENCY, answered))

    async def repeat(self, answer: StoredAnswer) -> None:
        """Make sure that an answer stays, before it is given again.

        Raises `IdempotencyInProgress` where another request was faster to withdraw the answer.
        """
        repeated = replace(answer.entity, values={**answer.entity.values, "repeated": True})
        try:
            await self._store.replace(Table.IDEMPOTENCY, repeated)
        except EntityChanged as lost:
            stored = await self._store.get(Table.IDEMPOTENCY, answer.entity.key)
            # Another request with the key may have been faster to do the same.
            if stored is None or stored.values != repeated.values:
                raise IdempotencyInProgress(retry_after=_POLL_SECONDS) from lost

    async def withdraw(self, claim: Claim) -> bool:
        """Give the key free, with the answer of this claim; whether it is certain that nobody is given that.

        It is not where the answer was repeated, or the store fails: that leaves an unanswered claim's lease to end.
        """
        try:
            await self._store.delete(Table.IDEMPOTENCY, claim.entity.key, claim.entity.etag)
        except (EntityChanged, StorageUnavailable):
            return False
        return True

    async def _derive(self, principal: str, key: str, request: str) -> tuple[str, bytes, str]:
        row_key = await self._pseudonyms.of("idempotency", principal, key)
        # Under the pepper too: a stolen table alone cannot be opened by guessing a weak key.
        sealing_key = await self._pseudonyms.digest("idempotency-seal", principal, key)
        return row_key, sealing_key, await self._pseudonyms.of("idempotency-request", key, request)

    def _read(self, stored: Entity, sealing_key: bytes, fingerprint: str) -> StoredAnswer | None:
        """The answer in a row, or None where the row means nothing any more."""
        remaining = stored.expires_at - self._clock()
        if remaining <= 0:
            return None
        if not compare_digest(str(stored.values.get("fingerprint")).encode(), fingerprint.encode()):
            raise IdempotencyKeyReused
        if "answer" not in stored.values:
            raise IdempotencyInProgress(retry_after=min(_POLL_SECONDS, remaining / 1000))
        sealed = base64.b64decode(str(stored.values["answer"]))
        content = unseal(sealing_key, sealed, stored.key.encode())
        if content is None:
            raise StorageUnavailable("a stored answer cannot be opened")
        return StoredAnswer(content, stored)

    async def _learn_the_time(self) -> None:
        """Have the store answer once before the first lease: its answers are what puts the clock right."""
        if not self._answered:
            await self._store.check()
            self._answered = True

    async def _take(self, fresh: Entity, stored: Entity | None, sealing_key: bytes) -> Claim:
        try:
            if stored is None:
                return Claim(await self._store.insert(Table.IDEMPOTENCY, fresh), sealing_key)
            mine = replace(fresh, etag=stored.etag)
            return Claim(await self._store.replace(Table.IDEMPOTENCY, mine), sealing_key)
        except (EntityExists, EntityChanged) as lost:
            raise IdempotencyInProgress(retry_after=_POLL_SECONDS) from lost
