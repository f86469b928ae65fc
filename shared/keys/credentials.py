"""What proves to Face that a call is ours: the subscription key, or a token of the app's identity."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from shared.clock import Clock
from shared.keys.cache import CachedSecret
from shared.keys.lifetimes import Lifetimes
from shared.keys.secret import Secret
from shared.keys.source import SecretSource

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

_KEY_HEADER = "Ocp-Apim-Subscription-Key"
_TOKEN_HEADER = "Authorization"  # noqa: S105 - a header's name.
_SCHEME = "Bearer "
_SCOPE = "https://cognitiveservices.azure.com/.default"

_TOKEN_LIFETIMES = Lifetimes(soft=60_000)
"""The SDK keeps tokens itself: asked each minute, it goes to the identity endpoint only when one is due."""


class SecretHeader(Mapping[str, str]):
    """One header field whose value no repr shows."""

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
        """Answer the key's header field; raises `KeyUnavailable`."""
        return SecretHeader(_KEY_HEADER, await self._source.get())

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Look for a newer key; raises `KeyUnavailable` where there is none at all any more."""
        return await _renewed(self._source, Secret(refused[_KEY_HEADER]))


class TokenIssuer(Protocol):
    """What `IdentityCredential` needs of `ManagedIdentity`."""

    async def get_token(self, *scopes: str, claims: str | None = None) -> "AccessToken":
        """Answer a token for the scope, a new one where there are `claims`; raises `KeyUnavailable`."""
        ...


class IdentityCredential:
    """A `FaceCredential` that sends an Entra token of the app's identity.

    Needs a custom subdomain and the role Cognitive Services User:
    https://learn.microsoft.com/azure/ai-services/authentication
    """

    def __init__(self, identity: TokenIssuer, *, clock: Clock) -> None:
        self._identity = identity
        self._tokens = CachedSecret(
            self._token, name="Face token", clock=clock, lifetimes=_TOKEN_LIFETIMES, reread=self._new_token
        )

    async def headers(self) -> Mapping[str, str]:
        """Answer the token's header field; raises `KeyUnavailable`."""
        return SecretHeader(_TOKEN_HEADER, await self._tokens.get(), _SCHEME)

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Look for a newer token; the platform keeps its own for hours, so that there may be none."""
        return await _renewed(self._tokens, Secret(refused[_TOKEN_HEADER].removeprefix(_SCHEME)))

    async def aclose(self) -> None:
        """End a refresh that is under way; the identity is closed by who opened it."""
        await self._tokens.aclose()

    async def _token(self) -> Secret:
        return _sealed(await self._identity.get_token(_SCOPE))

    async def _new_token(self) -> Secret:
        # Asked for claims, the SDK looks past the tokens that it holds; the endpoint never sees the claims.
        return _sealed(await self._identity.get_token(_SCOPE, claims="{}"))


async def _renewed(source: SecretSource, refused: Secret) -> bool:
    return await source.refresh(refused) != refused


def _sealed(token: "AccessToken") -> Secret:
    return Secret(token.token, token.expires_on * 1000)
