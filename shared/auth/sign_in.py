"""From the header `Authorization` to the caller: the token is verified after RFC 8725, and its claims are read."""

import asyncio
import json
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal, Protocol, Self, TypeGuard, TypeVar
from urllib.parse import urlsplit

import jwt
from cachetools import TTLCache

from shared.access import Caller
from shared.auth.issuer import ALGORITHMS, SigningKeys
from shared.errors import KeyUnavailable, Unauthorized
from shared.keys.secret import Secret
from shared.settings import SHORTEST_SIGNING_SECRET
from shared.text import CLIENT_REFERENCE, Clock
from shared.values import immutable

LEEWAY_SECONDS: Final = 60
"""How far the clocks of issuer and broker may differ."""

LONGEST_TOKEN: Final = 8192
"""Characters. An Entra token with many groups has some 4,000."""

_TYPES: Final = ("jwt", "at+jwt", "application/at+jwt")
"""The values of `typ` in the header of an access token; others are tokens of another kind."""

_OF_OTHER_TOKENS: Final = frozenset({"at_hash", "c_hash", "events"})
"""The claims that no access token has."""

_ENTRA_HOSTS: Final = re.compile(
    r"sts\.windows\.net|login\.microsoftonline\.(com|us)|(.+\.)?ciamlogin\.com"
    r"|sts\.chinacloudapi\.cn|login\.partner\.microsoftonline\.cn"
)
"""The hosts of Entra's issuers, in all its clouds."""

SENDER_PAUSE: Final = 30.0
"""Seconds until an address may again have an issuer asked for a key that is not known.

The first token with a new key and a forged token with a made-up one look the same. Both have the issuer asked at once,
so that no request fails when keys change. If forged tokens could use up that right of everybody, good tokens with a
new key would be refused. So each address has its own, and `Cached` bounds all of them together. A caller
that may not have the issuer asked gets 503, and not 401: its token may be good. If it waited here instead, a sender of
forged tokens could fill the places of the instance.
"""

_MOST_SENDERS: Final = 10_000
_MOST_HEADERS: Final = 100

_OF_BASE64URL: Final = bytes.maketrans(b"-_", b"+/")
_TO_BASE64URL: Final = bytes.maketrans(b"+/", b"-_")
_LONGEST_NAME: Final = 255
_LATEST_TIME: Final = 10**12
"""Seconds; a greater number is no time."""


Keys = TypeVar("Keys")
Found = TypeVar("Found")


class KeySource(Protocol[Keys]):
    """The keys of one issuer or the secret of a backend, as they are cached."""

    @property
    def failing(self) -> bool:
        """Whether the keys in memory may be old, because they cannot be read."""
        ...

    @property
    def refresh_pause(self) -> float:
        """The seconds until `refresh` may read again; until then it returns the keys in memory."""
        ...

    async def get(self) -> Keys:
        """Return the keys; raises `KeyUnavailable`."""
        ...

    async def refresh(self, refused: Keys, *, may_read: bool = True) -> Keys:
        """Look for newer keys than these, or only wait for a read that runs; raises `KeyUnavailable`."""
        ...


@immutable
class SharedSecret:
    """The secret that a backend signs HS256 tokens with. Their `iss` is its name in the vault."""

    name: str
    source: KeySource[Secret]


class SignIn:
    """Verifies bearer tokens for one of the audiences, from issuers by their URLs and from a backend with a secret."""

    def __init__(
        self,
        audiences: tuple[str, ...],
        issuers: Mapping[str, KeySource[SigningKeys]],
        secret: SharedSecret | None,
        clock: Clock,
    ) -> None:
        self._audiences = audiences
        self._issuers = issuers
        self._entra = {url for url in issuers if _ENTRA_HOSTS.fullmatch(urlsplit(url).hostname or "")}
        self._secret = secret
        self._clock = clock
        # When an address may have an issuer asked again. Full, it forgets the oldest: `Cached` still bounds the reads.
        self._senders: TTLCache[tuple[str, str], float] = TTLCache(_MOST_SENDERS, SENDER_PAUSE, self._seconds)
        # All tokens that are signed with one key have the same header.
        self._header = lru_cache(_MOST_HEADERS)(_algorithm_and_key_id)

    async def caller(self, authorization: str | None, network: str | None) -> Caller:
        """Return the caller that the token in the header `Authorization` stands for.

        Raises `Unauthorized`, and `KeyUnavailable` where the issuer's keys cannot be read.
        """
        scheme, _, credentials = (authorization or "").partition(" ")
        token = credentials.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("no bearer token")
        claims = await self._verified(token, network)
        # `azp` in OpenID Connect, `appid` in Entra's tokens of version 1, `client_id` in RFC 9068.
        client = claims.get("azp") or claims.get("appid") or claims.get("client_id")
        roles = claims.get("roles")
        return Caller(
            principal=_principal(claims, is_entra=claims["iss"] in self._entra),
            network=network,
            issuer=claims["iss"],
            client_id=client if _is_name(client) else None,
            roles=frozenset(filter(_is_name, roles if isinstance(roles, list) else ())),
            client_reference=_reference(claims),
        )

    async def check(self) -> None:
        """Have the keys of each issuer, and the secret of a backend; raises `KeyUnavailable` with what is missing."""
        await asyncio.gather(*(source.get() for source in self._issuers.values()))
        if self._secret is not None:
            _signing_key(await self._secret.source.get(), self._secret.name)

    async def _verified(self, text: str, network: str | None) -> dict[str, Any]:
        """The claims of a token, after its signature, issuer, audience and times were checked."""
        token = _Token.parsed(text, self._header)
        issuer = token.claims.get("iss")
        if isinstance(issuer, str) and (source := self._issuers.get(issuer)):
            await self._require_signature_of_issuer(token, source, issuer, network)
        elif self._secret is not None and issuer == self._secret.name:
            await self._require_signature_with_secret(token, self._secret, network)
        else:
            raise _invalid("another issuer")
        if not _is_of_access_token(token.claims, is_entra=issuer in self._entra):
            raise _invalid("not an access token by its claims")
        audience = token.claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if not any(one in self._audiences for one in audiences):
            raise _invalid("another audience")
        self._require_current(token.claims)
        return token.claims

    async def _require_signature_of_issuer(
        self, token: "_Token", source: KeySource[SigningKeys], issuer: str, network: str | None
    ) -> None:
        # No newer key makes such a token good.
        if token.algorithm not in ALGORITHMS:
            raise _invalid("an alg that is not accepted")
        key = await self._newest(
            source, lambda keys: keys.find(token.key_id, token.algorithm), f"issuer {issuer}", network
        )
        if key is None:
            raise _invalid("no key of its issuer has this kid and alg")
        if not token.is_signed_with(key.key):
            raise _invalid("signature")

    async def _require_signature_with_secret(
        self, token: "_Token", secret: SharedSecret, network: str | None
    ) -> None:
        if token.algorithm != "HS256":
            raise _invalid("another alg than HS256")

        def fits(value: Secret) -> Literal[True] | None:
            return True if token.is_signed_with(_signing_key(value, secret.name)) else None

        # It may have been signed with a newer secret.
        if not await self._newest(secret.source, fits, f"secret {secret.name}", network):
            raise _invalid("signature")

    async def _newest(
        self,
        source: KeySource[Keys],
        find: Callable[[Keys], Found | None],
        name: str,
        network: str | None,
    ) -> Found | None:
        """What is found in the keys in memory, or else in newer ones; None if it is not in the newest.

        Raises `KeyUnavailable` if this sender may not have newer keys read now, so that no forged token makes a token
        with a new key look invalid.
        """
        keys = await source.get()
        if (found := find(keys)) is not None:
            return found
        sender, now = (network or "", name), self._seconds()
        pause = max(source.refresh_pause, self._senders.get(sender, now) - now)
        # Where no address is known, only the bound for all senders counts.
        if pause == 0 and network is not None:
            self._senders[sender] = now + SENDER_PAUSE
        found = find(await source.refresh(keys, may_read=pause == 0))
        if found is not None:
            # It was a new key, and the next one may come soon.
            self._senders.pop(sender, None)
        elif source.failing:
            raise KeyUnavailable(f"{name}: it cannot be asked for the key of a token", retry_after=30)
        elif pause > 0:
            error = KeyUnavailable(f"{name}: it was asked for new keys a moment ago", retry_after=pause)
            error.charged_as_miss = True
            raise error
        return found

    def _seconds(self) -> float:
        return self._clock() / 1000

    def _require_current(self, claims: Mapping[str, Any]) -> None:
        now = self._seconds()
        end, start, issued = claims.get("exp"), claims.get("nbf", 0), claims.get("iat", 0)
        if not (_is_time(end) and _is_time(start) and _is_time(issued)):
            raise _invalid("no exp, or a time that is no number")
        if end + LEEWAY_SECONDS <= now:
            expired = Unauthorized("expired", problem="The access token expired.")
            # Its phone has to hear that, even if others use up the limit of its address.
            expired.charged_as_miss = False
            raise expired
        if max(start, issued) > now + LEEWAY_SECONDS:
            raise _invalid("not valid yet: compare the clocks")


@immutable
class _Token:
    """A signed token in its compact form (RFC 7515): nothing in it counts before its signature was verified."""

    # The repr shows no field.
    __repr__ = object.__repr__

    algorithm: str
    key_id: str | None
    claims: dict[str, Any]
    signed: bytes
    signature: bytes

    @classmethod
    def parsed(cls, text: str, read_header: Callable[[bytes], tuple[str, str | None]]) -> Self:
        """Take a token apart; raises `Unauthorized`."""
        if len(text) > LONGEST_TOKEN:
            raise _invalid("too long")
        try:
            # PyJWT's own parser checks characters one by one: with it a create costs 5 to 10 % more CPU, and with
            # `jwt.decode` 11 to 20 %. PyJWT verifies the signature.
            signed, _, signature = text.encode().rpartition(b".")
            header, payload = signed.split(b".")
            return cls(*read_header(header), _object(payload), signed, _bytes_of(signature))
        except (ValueError, RecursionError):
            raise _invalid("not three parts in base64url, or not JSON objects") from None

    def is_signed_with(self, key: Any) -> bool:  # noqa: ANN401 - of the type that fits the algorithm.
        """Whether the signature is of this key, which was chosen for the algorithm in the header."""
        return jwt.get_algorithm_by_name(self.algorithm).verify(self.signed, key, self.signature)


def _algorithm_and_key_id(part: bytes) -> tuple[str, str | None]:
    """Read the header of a token; raises `Unauthorized`, and `ValueError` for text that is no JSON object."""
    header = _object(part)
    if str(header.get("typ", "jwt")).lower() not in _TYPES:
        raise _invalid("not an access token by its typ")
    if "crit" in header:
        raise _invalid("crit")
    # Its jku, x5u, jwk and x5c are the sender's own: of keys only the id is read.
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not (isinstance(algorithm, str) and isinstance(key_id, str | None)):
        raise _invalid("an alg or a kid that is no text")
    return algorithm, key_id


def _object(part: bytes) -> dict[str, Any]:
    content = json.loads(_bytes_of(part).decode())
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def _bytes_of(part: bytes) -> bytes:
    # Not by `base64`, whose own checks take longer than the decoding.
    decoded = a2b_base64(part.translate(_OF_BASE64URL) + b"==")
    # The decoder takes other spellings of the same bytes, and drops what is not base64.
    if b2a_base64(decoded, newline=False).rstrip(b"=").translate(_TO_BASE64URL) != part:
        raise ValueError("not canonical base64url")
    return decoded


def _signing_key(secret: Secret, name: str) -> bytes:
    key = secret.reveal().encode()
    if len(key) < SHORTEST_SIGNING_SECRET:
        raise KeyUnavailable(f"secret {name} is shorter than {SHORTEST_SIGNING_SECRET} characters")
    return key


def _is_of_access_token(claims: Mapping[str, Any], *, is_entra: bool) -> bool:
    """Whether the claims are not those of an ID token or of another token that the same issuer signs.

    ID tokens have `nonce`, `at_hash` and `c_hash` (OpenID Connect Core, section 2). Those of Entra may have none of
    them, but name no client: access tokens have `azp`, or `appid` in version 1. Security events, such as logout
    tokens, have `events` (RFC 8417). Keycloak names the type in a claim `typ`, and before its version 25 its access
    tokens had `nonce` too.
    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """
    kind = claims.get("typ")
    if not _OF_OTHER_TOKENS.isdisjoint(claims) or (kind is None and "nonce" in claims):
        return False
    if is_entra and "azp" not in claims and "appid" not in claims:
        return False
    return kind is None or str(kind).lower() in ("bearer", *_TYPES)


def _principal(claims: Mapping[str, Any], *, is_entra: bool) -> str:
    """Issuer and subject, or for Entra tenant and object id, because `sub` differs by client there.

    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """
    issuer, subject = claims["iss"], _required(claims, "sub")
    if not is_entra:
        return f"{issuer} {subject}"
    tenant = _required(claims, "tid")
    if f"/{tenant}/" not in f"{issuer}/":
        raise _invalid("another tenant than the issuer's")
    # One name for one person, whether the token is of version 1 or 2.
    return f"entra:{tenant} {_required(claims, 'oid')}"


def _reference(claims: Mapping[str, Any]) -> str | None:
    reference = claims.get("client_reference")
    if reference is None or (isinstance(reference, str) and CLIENT_REFERENCE.fullmatch(reference)):
        return reference
    raise _invalid("client_reference")


def _required(claims: Mapping[str, Any], claim: str) -> str:
    if _is_name(value := claims.get(claim)):
        return str(value)
    raise _invalid(f"no usable {claim}")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST_NAME and value.isprintable()


def _is_time(value: object) -> TypeGuard[float]:
    return type(value) in (int, float) and 0 <= value < _LATEST_TIME  # type: ignore[operator] # A number.


def _invalid(detail: str) -> Unauthorized:
    return Unauthorized(detail, problem="The access token is not valid.")
