"""Pseudonyms and MACs under a secret, the pepper. A stolen table then names no device and no address."""

import hmac
from functools import lru_cache

from shared.keys.secret import Secret, SecretSource, values_of

_MOST_KNOWN = 1000


class Pepper:
    """Makes HMAC-SHA256 pseudonyms and MACs under one secret value.

    A plain hash of a device id or an IPv4 address could be reversed by trying them all. One request needs the same
    pseudonym several times, so the latest 1,000 are kept in memory.
    """

    def __init__(self, secret: Secret) -> None:
        self._key = secret.reveal().encode()
        self._keyed = hmac.new(self._key, digestmod="sha256")
        self._pseudonym = lru_cache(_MOST_KNOWN)(lambda *parts: self.digest(*parts).hex())
        self._derived: dict[str, hmac.HMAC] = {}

    def of(self, kind: str, *parts: str) -> str:
        """The pseudonym of an id of some kind: 64 hexadecimal digits."""
        return self._pseudonym(kind, *parts)

    def digest(self, kind: str, *parts: str) -> bytes:
        """The same as 32 bytes."""
        message = b""
        for part in (kind, *parts):
            # Length-prefixed, so that no two lists of parts run together.
            text = part.encode()
            message += len(text).to_bytes(4, "big") + text
        return _mac(self._keyed, message)

    def mac(self, label: str, content: bytes) -> bytes:
        """The HMAC-SHA256 of a content under a key of 32 bytes for the purpose that the label names.

        The key is derived from the pepper, so that no second secret has to be made, guarded and read. Neither can be
        worked out from the other. The derivation is HKDF-SHA256 (RFC 5869) without a salt, with one block of output.
        """
        if label not in self._derived:
            # The library for this takes some 20 ms to load, in each new instance.
            extracted = hmac.digest(bytes(32), self._key, "sha256")
            key = hmac.digest(extracted, label.encode() + b"\x01", "sha256")
            self._derived[label] = hmac.new(key, digestmod="sha256")
        return _mac(self._derived[label], content)


def _mac(keyed: hmac.HMAC, message: bytes) -> bytes:
    # `hmac.digest` sets the key up for each message, and takes half as long again for short ones.
    copy = keyed.copy()
    copy.update(message)
    return copy.digest()


class Pseudonyms:
    """Makes pseudonyms under the peppers in a secret.

    The secret holds one pepper, or several with commas between them while the pepper is rotated. The first pepper makes
    what is written. What was made under the others is still recognised, and limits count under all of them.
    """

    def __init__(self, secret: SecretSource) -> None:
        self._source = secret
        self._secret: Secret | None = None
        self._peppers: tuple[Pepper, ...] = ()

    async def peppers(self) -> tuple[Pepper, ...]:
        """The peppers, in the order of the secret; raises `KeyUnavailable`."""
        secret = await self._source.get()
        if secret is not self._secret:
            self._peppers = tuple([Pepper(one) for one in values_of(secret)])
            self._secret = secret
        return self._peppers

    async def of(self, kind: str, *parts: str) -> str:
        """The pseudonym of an id of some kind under the first pepper; raises `KeyUnavailable`."""
        return (await self.peppers())[0].of(kind, *parts)

    async def of_address(self, network: str | None) -> str | None:
        """The pseudonym of a client's address, for logs; the same as in the keys of its rows.

        Raises `KeyUnavailable`.
        """
        return None if network is None else await self.of("client", network)

    async def all_of(self, kind: str, *parts: str) -> tuple[str, ...]:
        """The pseudonyms of an id under each pepper, in the order of the secret; raises `KeyUnavailable`."""
        return tuple([pepper.of(kind, *parts) for pepper in await self.peppers()])
