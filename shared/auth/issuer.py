"""One OpenID Connect issuer: its discovery document, and the public keys that its tokens are signed with."""

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import jwt

from shared.errors import KeyUnavailable
from shared.http_port import Http, NoAnswer
from shared.text import parse_json, retry_after_seconds
from shared.values import immutable

if TYPE_CHECKING:
    from jwt.types import JWKDict

_HEADERS: Final = {"Accept": "application/json"}

_ASKS_TO_WAIT: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

LONGEST_PAUSE: Final = 60.0
"""Seconds; a longer `Retry-After` of an issuer is cut to this."""

LARGEST_ANSWER: Final = 256 * 1024
"""Bytes of a document of an issuer. Entra's keys come with their certificates, some 20 KB in all."""

DEADLINE: Final = 5.0
"""Seconds for both documents."""

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS: Final = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
}
"""The accepted algorithms by key type and curve. A key of any other type is not used."""

ALGORITHMS: Final = tuple([name for names in _ALGORITHMS.values() for name in names])

_SMALLEST_RSA_BITS: Final = 2048
_KEYS_URL: Final = re.compile(
    r"(https://[A-Za-z0-9.-]+(:[0-9]{1,5})?|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?)/[!-~]*"
)


@immutable
class SigningKey:
    """A public key, its id, and the algorithms that it may verify."""

    key_id: str | None
    algorithms: tuple[str, ...]
    key: Any


@immutable
class SigningKeys:
    """The public keys of an issuer. They have no end of their own."""

    keys: tuple[SigningKey, ...]
    expires_at: int | None = None

    def find(self, key_id: object, algorithm: object) -> SigningKey | None:
        """The key with this id for this algorithm; a token without an id needs an issuer with just one such key."""
        fitting = [
            key
            for key in self.keys
            if algorithm in key.algorithms and (key_id is None or key.key_id == key_id)
        ]
        return fitting[0] if len(fitting) == 1 else None


class Issuer:
    """Reads the keys of the issuer `url`."""

    def __init__(self, url: str, http: Http) -> None:
        self._url = url
        self._http = http

    async def read(self) -> SigningKeys:
        """Fetch the current keys; raises `KeyUnavailable` with what is wrong, for the operator's log.

        https://openid.net/specs/openid-connect-discovery-1_0.html, sections 4 and 4.3.
        """
        try:
            async with asyncio.timeout(DEADLINE):
                document = await self._fetch(
                    f"{self._url.removesuffix('/')}/.well-known/openid-configuration"
                )
                if (named := document.get("issuer")) != self._url:
                    raise self._trouble(f"its discovery document is that of {str(named)[:200]!r}")
                keys_url = document.get("jwks_uri")
                if not isinstance(keys_url, str) or not _KEYS_URL.fullmatch(keys_url):
                    raise self._trouble("its discovery document has no usable jwks_uri")
                answered = (await self._fetch(keys_url)).get("keys")
        except (NoAnswer, TimeoutError) as error:
            raise self._trouble(f"no answer ({str(error) or type(error).__name__})") from error
        listed = answered if isinstance(answered, list) else []
        keys = tuple(key for one in listed if (key := _usable_key(one)))
        if not keys:
            raise self._trouble("it publishes no usable key")
        return SigningKeys(keys)

    async def _fetch(self, url: str) -> dict[str, Any]:
        answer = await self._http.send("GET", url, _HEADERS)
        if answer.status != HTTPStatus.OK:
            wait = retry_after_seconds(answer.headers, LONGEST_PAUSE)
            raise self._trouble(
                f"it answered {answer.status} for {url}", wait if answer.status in _ASKS_TO_WAIT else None
            )
        if answer.unread:
            raise self._trouble(f"too large or compressed an answer from {url}")
        try:
            content = parse_json(answer.body)
        except ValueError as error:
            raise self._trouble(f"no JSON from {url}") from error
        if not isinstance(content, dict):
            raise self._trouble(f"no JSON object from {url}")
        return content

    def _trouble(self, what: str, retry_after: float | None = None) -> KeyUnavailable:
        return KeyUnavailable(f"issuer {self._url}: {what}", retry_after=retry_after)


def _usable_key(published: object) -> SigningKey | None:
    """The key of a JWK (RFC 7517), or None if it is no public key that the broker accepts signatures of."""
    if not isinstance(published, dict) or published.get("use", "sig") != "sig":
        return None
    jwk: JWKDict = published
    algorithms = _ALGORITHMS.get(
        (str(jwk.get("kty")), None if jwk.get("kty") == "RSA" else str(jwk.get("crv")))
    )
    operations = jwk.get("key_ops", ["verify"])
    if not (isinstance(operations, list) and "verify" in operations):
        return None
    if algorithms is None or not isinstance(jwk.get("kid"), str | None):
        return None
    if "alg" in jwk:
        algorithms = tuple(name for name in algorithms if name == jwk["alg"])
    # The private half, which an issuer may publish by mistake, makes everybody a signer.
    if not algorithms or "d" in jwk:
        return None
    try:
        key = jwt.PyJWK(jwk, algorithms[0]).key
    except (jwt.PyJWTError, TypeError, ValueError):
        return None
    if key.key_size < _SMALLEST_RSA_BITS and algorithms[0] in _RSA:
        return None
    return SigningKey(jwk.get("kid"), algorithms, key)
