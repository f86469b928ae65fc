"""The header field that authenticates a call to Face: the subscription key, or a token of the app's identity."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shared.clock import Clock
from shared.keys.cache import CachedSecret, Lifetimes
from shared.keys.identity import ManagedIdentity
from shared.keys.secret import Secret, SecretSource

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

_KEY_HEADER = "Ocp-Apim-Subscription-Key"
_TOKEN_HEADER = "Authorization"  # noqa: S105 - a header's name.
_SCHEME = "Bearer "
_SCOPE = "https://cognitiveservices.azure.com/.default"

_TOKEN_LIFETIMES = Lifetimes(soft=60_000)
"""The SDK caches tokens itself: asked each minute, it calls the identity endpoint only for one that is due."""


class SecretHeader(Mapping[str, str]):
    """One header field whose repr hides the value."""

    def __init__(self, name: str, secret: Secret, prefix: str = "") -> None:
        self._name = name
        self._secret = secret
        self._prefix = prefix

    def __getitem__(self, name: str) -> str:
        if name != self._name:
            raise KeyError(name)
        return self._prefix + self._secret.reveal()

    def __iter__(self) -> Iterator[str]:
        return iter((self._name,))

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return f"{{{self._name!r}: {self._secret!r}}}"


class KeyCredential:
    """A `FaceCredential` that sends the subscription key."""

    def __init__(self, source: SecretSource) -> None:
        self._source = source

    async def headers(self) -> Mapping[str, str]:
        """Return the key's header field; raises `KeyUnavailable`."""
        return SecretHeader(_KEY_HEADER, await self._source.get())

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Read the key again; True if it is a newer one. Raises `KeyUnavailable` where there is none left."""
        return await _has_newer(self._source, Secret(refused[_KEY_HEADER]))


class IdentityCredential:
    """A `FaceCredential` that sends an Entra token of the app's identity.

    Needs a custom subdomain and the role Cognitive Services User:
    https://learn.microsoft.com/azure/ai-services/authentication
    """

    def __init__(self, identity: ManagedIdentity, *, clock: Clock) -> None:
        self._identity = identity
        self._tokens = CachedSecret(
            self._token, name="Face token", clock=clock, lifetimes=_TOKEN_LIFETIMES, reread=self._new_token
        )

    async def headers(self) -> Mapping[str, str]:
        """Return the token's header field; raises `KeyUnavailable`."""
        return SecretHeader(_TOKEN_HEADER, await self._tokens.get(), _SCHEME)

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Ask for a newer token; True if there is one. The platform itself keeps a token for hours."""
        return await _has_newer(self._tokens, Secret(refused[_TOKEN_HEADER].removeprefix(_SCHEME)))

    async def aclose(self) -> None:
        """End a refresh that is running; the identity stays open."""
        await self._tokens.aclose()

    async def _token(self) -> Secret:
        return _as_secret(await self._identity.get_token(_SCOPE))

    async def _new_token(self) -> Secret:
        # Given claims, the SDK does not answer from its cache; it does not send them to the endpoint.
        return _as_secret(await self._identity.get_token(_SCOPE, claims="{}"))


async def _has_newer(source: SecretSource, refused: Secret) -> bool:
    return await source.refresh(refused) != refused


def _as_secret(token: "AccessToken") -> Secret:
    return Secret(token.token, token.expires_on * 1000)
