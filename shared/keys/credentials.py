"""The header field that authenticates a call to Face: the subscription key, or a token of the app's identity."""

from shared.face.model import FaceCredential
from shared.keys.cache import CachedSecret
from shared.keys.identity import ManagedIdentity
from shared.keys.secret import Secret, SecretSource
from shared.text import Clock

# The SDK caches tokens itself: asked each minute, it calls the identity endpoint only for one that is due.
_TOKEN_LIFETIME_MS = 60_000


def key_credential(key: SecretSource) -> FaceCredential:
    """The credential that sends Face's subscription key."""
    return FaceCredential(key, "Ocp-Apim-Subscription-Key")


def token_credential(tokens: SecretSource) -> FaceCredential:
    """The credential that sends Entra tokens for Face.

    Needs a custom subdomain and the role Cognitive Services User:
    https://learn.microsoft.com/azure/ai-services/authentication
    """
    return FaceCredential(tokens, "Authorization", "Bearer ")


def face_tokens(identity: ManagedIdentity, clock: Clock, scope: str) -> CachedSecret:
    """The tokens of the app's identity for Face, whose scope the cloud decides; the platform keeps one for hours."""

    async def read(claims: str | None = None) -> Secret:
        token = await identity.get_token(scope, claims=claims)
        return Secret(token.token, token.expires_on * 1000)

    return CachedSecret(
        read,
        # Given claims, the SDK does not answer from its cache; it does not send them to the endpoint.
        reread=lambda: read(claims="{}"),
        name="Face token",
        clock=clock,
        soft_lifetime=_TOKEN_LIFETIME_MS,
    )
