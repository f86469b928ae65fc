"""Secrets of one Azure Key Vault."""

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared.errors import KeyUnavailable
from shared.keys.identity import LARGEST_ANSWER, SDK_OPTIONS
from shared.keys.secret import Secret, flaw_of

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.keyvault.secrets.aio import SecretClient

    from shared.http import Connections

DEADLINE_SECONDS: Final = 3.0
"""How long the read of a secret takes at most: a challenge at first, a token, the secret."""

_NETWORK: Final = "the vault's network rules keep the app out: let its subnet in"
_ADVICE: Final[dict[object, str]] = {
    401: "it does not accept the identity's token: both have to be in one tenant",
    403: "the app's identity needs the role Key Vault Secrets User on the vault",
    "SecretDisabled": "the secret is disabled: enable its current version",
    "ForbiddenByFirewall": _NETWORK,
    "ForbiddenByConnection": _NETWORK,
    404: "there is no such secret: create it, or correct its name in the settings",
    429: "it throttles the app",
}
"""By status, or by inner code: https://learn.microsoft.com/azure/key-vault/general/rest-error-codes."""


class KeyVaultSecrets:
    """Reads the current versions of secrets, each within `deadline` seconds."""

    def __init__(self, client: "SecretClient", *, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._host = urlsplit(client.vault_url).netloc

    async def read(self, name: str) -> Secret:
        """Fetch the current version; raises `KeyUnavailable`, also for a value that no header can carry.

        The SDK's error is cut off with `from None`: its text quotes whole bodies, which may hold a secret.
        """
        from shared.azure_transport import unavailable

        try:
            async with asyncio.timeout(self._deadline):
                # The SDK's object hides the value in its repr; the plain text gets no variable here.
                fetched = await self._client.get_secret(name)
        except Exception as error:
            failure = unavailable(KeyUnavailable, "Key Vault", error, _ADVICE, code=_inner_code(error))
            detail = f"{failure.detail}; secret {name}, vault host {self._host}"
            raise KeyUnavailable(detail, retry_after=failure.retry_after) from None
        secret = Secret(fetched.value or "")
        if flaw := flaw_of(secret):
            raise KeyUnavailable(f"secret {name} {flaw}")
        return secret

    async def aclose(self) -> None:
        """Close the connections to the vault; the identity stays open."""
        await self._client.close()


def open_key_vault(
    vault_url: str,
    identity: "AsyncTokenCredential",
    connections: "Connections | None" = None,
    *,
    deadline: float = DEADLINE_SECONDS,
) -> KeyVaultSecrets:
    """Make the client of a vault. The SDK takes some 0.2 s to import, and calls over TLS only."""
    from azure.keyvault.secrets.aio import SecretClient

    from shared.azure_transport import AzureTransport

    transport = AzureTransport(connections, LARGEST_ANSWER)
    client = SecretClient(vault_url, identity, transport=transport, permit_redirects=False, **SDK_OPTIONS)
    return KeyVaultSecrets(client, deadline=deadline)


def _inner_code(error: Exception) -> str:
    inner = getattr(getattr(error, "error", None), "innererror", None)
    code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) and code.isalnum() else ""
