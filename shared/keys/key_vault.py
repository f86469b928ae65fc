"""Secrets of one Azure Key Vault."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared.errors import KeyUnavailable
from shared.keys.identity import LARGEST_ANSWER, SDK_OPTIONS, cause_of
from shared.keys.secret import Secret, require_usable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.keyvault.secrets.aio import SecretClient

    from shared.http import Connections

DEADLINE_SECONDS: Final = 3.0
"""How long the read of a secret takes at most: a challenge at first, a token, the secret."""

_NETWORK = "the vault's network rules keep the app out: let its subnet in; secret {name}"
_ADVICE = {
    "401": "the vault does not accept the identity's token: both have to be in one tenant",
    "403": "the app's identity needs the role Key Vault Secrets User on the vault; secret {name}",
    "403 SecretDisabled": "secret {name} is disabled: enable its current version",
    "403 ForbiddenByFirewall": _NETWORK,
    "403 ForbiddenByConnection": _NETWORK,
    "404": "there is no secret {name}: create it, or correct its name in the settings",
    "429": "the vault throttles the app; secret {name}",
}
"""By status, or by status and inner code: https://learn.microsoft.com/azure/key-vault/general/rest-error-codes."""


class KeyVaultSecrets:
    """Reads the current versions of secrets, each within `deadline` seconds."""

    def __init__(self, client: "SecretClient", *, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._host = urlsplit(client.vault_url).netloc

    async def read(self, name: str) -> Secret:
        """Fetch the current version; raises `KeyUnavailable`, also for a value that no header can carry."""
        with _explained(self._host, name):
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


@contextmanager
def _explained(host: str, name: str) -> Iterator[None]:
    """Turn every error of one read of a secret into `KeyUnavailable`, which tells the operator what to do.

    The SDK's error is cut off with `from None`: its text quotes whole bodies, which may hold a secret.
    """
    from azure.core.exceptions import AzureError, HttpResponseError

    from shared.azure_transport import asked_pause

    try:
        yield
    except HttpResponseError as error:
        status = str(error.status_code or cause_of(error))
        answer = f"{status} {_inner_code(error)}".rstrip()
        advice = _ADVICE.get(answer) or _ADVICE.get(status, "try again later; secret {name}")
        detail = f"Key Vault answered {answer}: {advice.format(name=name)}"
        wait = asked_pause(error)
        raise KeyUnavailable(f"{detail}; vault host {host}", retry_after=wait) from None
    except (AzureError, TimeoutError) as error:
        raise KeyUnavailable(f"Key Vault did not answer ({cause_of(error)}); vault host {host}") from None
    except ValueError as error:
        # The SDK raises this for a challenge that names another domain, and for a body that is not JSON.
        raise KeyUnavailable(
            f"the answer is not Key Vault's ({cause_of(error)}); vault host {host}"
        ) from None


def _inner_code(error: "HttpResponseError") -> str:
    inner = error.error.innererror if error.error else None
    code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) and code.isalnum() else ""
