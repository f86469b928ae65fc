"""Keyed hashes in place of ids, so that a stolen table names no device and no address; keys from the same secret."""

import hmac

from shared.keys.secret import SecretSource


class Pseudonyms:
    """Makes HMAC-SHA256 pseudonyms under one secret pepper.

    A plain hash of a device id or an IPv4 address could be reversed by trying them all.
    """

    def __init__(self, pepper: SecretSource) -> None:
        self._pepper = pepper

    async def of(self, kind: str, *parts: str) -> str:
        """The pseudonym of an id of some kind: 64 hexadecimal digits; raises `KeyUnavailable`."""
        return (await self.digest(kind, *parts)).hex()

    async def digest(self, kind: str, *parts: str) -> bytes:
        """The same as 32 bytes."""
        message = b""
        for part in (kind, *parts):
            # Length-prefixed, so that no two lists of parts run together.
            text = part.encode()
            message += len(text).to_bytes(4, "big") + text
        pepper = await self._pepper.get()
        return hmac.digest(pepper.reveal().encode(), message, "sha256")

    async def derived_key(self, label: str) -> bytes:
        """A key of 32 bytes for another purpose; raises `KeyUnavailable`.

        It is derived from the pepper, so that no second secret has to be made, guarded and read. Nobody learns one
        from the other: HKDF-SHA256 (RFC 5869) without a salt, its extraction and one block of its expansion.
        """
        pepper = await self._pepper.get()
        # The library for this takes some 20 ms to load, in each new instance.
        extracted = hmac.digest(bytes(32), pepper.reveal().encode(), "sha256")
        return hmac.digest(extracted, label.encode() + b"\x01", "sha256")
