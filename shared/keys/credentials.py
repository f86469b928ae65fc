"""The header field that authenticates a call to Face: the subscription key, or a token of the app's identity."""

from collections.abc import Iterator, Mapping

from shared.clock import Clock
from shared.keys.cache import CachedSecret
from shared.keys.identity import ManagedIdentity
from shared.keys.secret import Secret, SecretSource

_SCOPE = "https://cognitiveservices.azure.com/.default"
# The SDK caches tokens itself: asked each minute, it calls the identity endpoint only for one that is due.
_TOKEN_LIFETIME_MS = 60_000


class SecretHeader(Mapping[str, str]):
    """One header field whose repr hides the value."""

    def __init__(self, name: str, secret: Secret, prefix: str) -> None:
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


class HeaderCredential:
    """A `FaceCredential` that sends a secret in one header field, after a prefix."""

    def __init__(self, source: SecretSource, name: str, prefix: str = "") -> None:
        self._source = source
        self._name = name
        self._prefix = prefix

    async def headers(self) -> Mapping[str, str]:
        """Return the header field; raises `KeyUnavailable`."""
        return SecretHeader(self._name, await self._source.get(), self._prefix)

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Look for a newer secret than the refused one; True if there is one. Raises `KeyUnavailable`."""
        secret = Secret(refused[self._name].removeprefix(self._prefix))
        return await self._source.refresh(secret) != secret


def key_credential(key: SecretSource) -> HeaderCredential:
    """The credential that sends Face's subscription key."""
    return HeaderCredential(key, "Ocp-Apim-Subscription-Key")


def token_credential(tokens: SecretSource) -> HeaderCredential:
    """The credential that sends Entra tokens for Face.

    Needs a custom subdomain and the role Cognitive Services User:
    https://learn.microsoft.com/azure/ai-services/authentication
    """
    return HeaderCredential(tokens, "Authorization", "Bearer ")


def face_tokens(identity: ManagedIdentity, clock: Clock) -> CachedSecret:
    """The tokens of the app's identity for Face. The platform itself keeps a token for hours."""

    async def read(claims: str | None = None) -> Secret:
        token = await identity.get_token(_SCOPE, claims=claims)
        return Secret(token.token, token.expires_on * 1000)

    return CachedSecret(
        read,
        # Given claims, the SDK does not answer from its cache; it does not send them to the endpoint.
        reread=lambda: read(claims="{}"),
        name="Face token",
        clock=clock,
        soft_lifetime=_TOKEN_LIFETIME_MS,
    )
