"""Ids as the broker stores them: keyed hashes, so that a stolen table names no device and no address."""

import hmac
from collections.abc import Awaitable, Callable
from hashlib import sha256

PepperSource = Callable[[], Awaitable[bytes]]
"""Answers the secret pepper; raises `KeyUnavailable`."""


class Pseudonyms:
    """Makes HMAC-SHA256 pseudonyms under one secret pepper.

    A plain hash of a device id or an IPv4 address could be reversed by trying them all.
    """

    def __init__(self, pepper: PepperSource) -> None:
        self._pepper = pepper

    async def of(self, kind: str, *parts: str) -> str:
        """The pseudonym of an id of some kind: 64 hexadecimal digits."""
        return (await self.digest(kind, *parts)).hex()

    async def digest(self, kind: str, *parts: str) -> bytes:
        """The same as 32 bytes; the parts are length-prefixed, so that no two lists of them run together."""
        message = b"".join(_framed(part.encode("utf-8")) for part in (kind, *parts))
        return hmac.new(await self._pepper(), message, sha256).digest()


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
