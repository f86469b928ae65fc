"""Who an operator is: the machine's managed identity where it has one, else whoever did `az login`."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from local.ops.failures import Failure
from shared.clock import Clock, system_clock
from shared.errors import KeyUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential

STORAGE: Final = "https://storage.azure.com/.default"
EVENT_GRID: Final = "https://eventgrid.azure.net/.default"

_RENEWED_SECONDS_BEFORE: Final = 300


class OperatorCredential:
    """An `AsyncTokenCredential` that keeps tokens, and raises `Failure` with one line that says what to do.

    The credential inside asks the Azure CLI for each token anew, which takes seconds: more than a request has.
    """

    def __init__(self, credential: "AsyncTokenCredential", clock: Clock = system_clock) -> None:
        self._credential = credential
        self._clock = clock
        self._tokens: dict[tuple[str, ...], AccessToken] = {}
        self._asking = asyncio.Lock()

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **options: Any,  # noqa: ANN401 - the SDK's own signature.
    ) -> "AccessToken":
        """Answer a token for a scope, the one from before while it is good for five minutes more."""
        async with self._asking:
            token = self._tokens.get(scopes)
            if token is None or claims or self._ends_soon(token):
                token = await self._asked(scopes, claims=claims, tenant_id=tenant_id, **options)
                self._tokens[scopes] = token
            return token

    async def close(self) -> None:
        """Close what is inside."""
        await self._credential.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()

    def _ends_soon(self, token: "AccessToken") -> bool:
        return token.expires_on - self._clock() / 1000 < _RENEWED_SECONDS_BEFORE

    async def _asked(self, scopes: tuple[str, ...], **options: Any) -> "AccessToken":  # noqa: ANN401
        from azure.core.exceptions import AzureError

        try:
            return await self._credential.get_token(*scopes, **options)
        except KeyUnavailable as fault:
            raise Failure(f"no token: {fault.detail}") from fault
        except AzureError as fault:
            raise Failure(
                f"no token: there is no managed identity here, and the Azure CLI says: {_first_line(fault)}"
            ) from fault


def open_credential(environment: Mapping[str, str], client_id: str | None) -> OperatorCredential:
    """Make the credential of the machine or the person; nothing is asked yet.

    Azure tells a process that it has an identity by `IDENTITY_ENDPOINT`:
    https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
    """
    if environment.get("IDENTITY_ENDPOINT"):
        from shared.keys.identity import open_identity

        return OperatorCredential(open_identity(client_id))
    from azure.identity.aio import AzureCliCredential

    return OperatorCredential(AzureCliCredential(process_timeout=30))


def _first_line(fault: Exception) -> str:
    text = next(iter(str(getattr(fault, "message", fault)).splitlines()), "")
    return "".join(character if character.isprintable() else "?" for character in text)[:200]
