"""Secrets of one Azure Key Vault."""

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared.keys.failures import explained_for_vault
from shared.keys.identity import LARGEST_ANSWER, SDK_OPTIONS
from shared.keys.secret import Secret, require_usable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.keyvault.secrets.aio import SecretClient

    from shared.http import Connections

DEADLINE_SECONDS: Final = 3.0
"""How long the read of a secret takes at most: a challenge at first, a token, the secret."""


class KeyVaultSecrets:
    """Reads the current versions of secrets, each within `deadline` seconds."""

    def __init__(self, client: "SecretClient", *, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._host = urlsplit(client.vault_url).netloc

    async def read(self, name: str) -> Secret:
        """Fetch the current version; raises `KeyUnavailable`, also for a value that no header can carry."""
        with explained_for_vault(self._host, name):
            async with asyncio.timeout(self._deadline):
                # The SDK's object hides the value in its repr; the plain text gets no variable here.
                fetched = await self._client.get_secret(name)
        return require_usable(Secret(fetched.value or ""), name)

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
