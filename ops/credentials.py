"""The login of the operator: the machine's managed identity where it has one, else the Azure CLI's."""

from collections.abc import Mapping
from typing import Any, Final

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError

from ops.output import CommandFailed, printable
from shared.errors import KeyUnavailable
from shared.text import Clock, system_clock

STORAGE: Final = "https://storage.azure.com/.default"

_RENEWAL_SECONDS: Final = 300


def open_credential(environment: Mapping[str, str], client_id: str | None) -> "OperatorCredential":
    """Make the credential; nothing is asked yet.

    The platform sets `IDENTITY_ENDPOINT` where the machine has a managed identity:
    https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
    """
    if environment.get("IDENTITY_ENDPOINT"):
        from shared.keys.identity import open_identity

        return OperatorCredential(open_identity(client_id))
    from azure.identity.aio import AzureCliCredential

    return OperatorCredential(AzureCliCredential(process_timeout=30))


class OperatorCredential(AsyncTokenCredential):
    """A credential that keeps each token until five minutes before it ends.

    The Azure CLI takes seconds for a token, and each of the SDK's clients would ask for its own.
    """

    def __init__(self, credential: AsyncTokenCredential, clock: Clock = system_clock) -> None:
        self._credential = credential
        self._clock = clock
        self._tokens: dict[tuple[str, ...], AccessToken] = {}

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - the SDK's.
        """Return a token for a scope; raises `CommandFailed` with what the operator has to do."""
        token = self._tokens.get(scopes)
        if token is None or options.get("claims") or self._ends_soon(token):
            token = self._tokens[scopes] = await self._request(scopes, options)
        return token

    async def close(self) -> None:
        """Close the credential inside."""
        await self._credential.close()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _ends_soon(self, token: AccessToken) -> bool:
        return token.expires_on - self._clock() / 1000 < _RENEWAL_SECONDS

    async def _request(self, scopes: tuple[str, ...], options: Mapping[str, Any]) -> AccessToken:
        try:
            return await self._credential.get_token(*scopes, **options)
        except KeyUnavailable as fault:
            raise CommandFailed(f"no token: {fault.detail}") from fault
        except AzureError as fault:
            first_line = printable(str(fault.message).partition("\n")[0])
            raise CommandFailed(
                f"no token: this machine has no managed identity, and the Azure CLI says: {first_line}"
            ) from fault
