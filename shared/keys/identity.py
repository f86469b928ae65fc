"""The app's managed identity: tokens for our own calls and for the Azure SDK clients."""

import asyncio
import json
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from shared.errors import KeyUnavailable
from shared.keys.failures import explained_for_identity

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline import PipelineResponse

SDK_OPTIONS: Final[dict[str, Any]] = {
    # Seconds; the SDKs' own are 300 for each.
    "connection_timeout": 1,
    "read_timeout": 2,
    # Without a connection one more try, at once, where the deadline leaves room for it; the SDKs' own are three,
    # seconds apart.
    "retry_total": 1,
    "retry_read": 0,
    # A refusal is told at once, and the cache tries again: azure-core would wait out a `Retry-After`, until the
    # deadline cuts it and nobody knows why.
    "retry_status": 0,
    # The identity's own secret header goes over plain http on the machine: never through a proxy.
    "use_env_settings": False,
}
"""How the SDK clients of this package call."""


class ManagedIdentity:
    """An `AsyncTokenCredential` that gives up after `deadline` seconds and fails with `KeyUnavailable`.

    The SDK's credential inside keeps tokens in memory, and renews them long before their end.
    """

    def __init__(self, credential: "AsyncTokenCredential", *, deadline: float) -> None:
        self._credential = credential
        self._deadline = deadline

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **options: Any,  # noqa: ANN401 - the SDK's own signature.
    ) -> "AccessToken":
        """Answer a token for one scope; `claims` of any content make the SDK ask for a new one."""
        with explained_for_identity():
            async with asyncio.timeout(self._deadline):
                return await self._credential.get_token(
                    *scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae, **options
                )

    async def close(self) -> None:
        """Close the connections to the identity endpoint."""
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


def open_identity(client_id: str | None = None, *, deadline: float = 3.0) -> ManagedIdentity:
    """Build the credential of the system-assigned identity, or of the user-assigned one with this client id.

    Imports the SDK, which takes some 0.3 s: call it where the app is put together, once in a process.
    """
    from azure.identity.aio import ManagedIdentityCredential

    credential = ManagedIdentityCredential(
        client_id=client_id, raw_response_hook=_require_token, **SDK_OPTIONS
    )
    return ManagedIdentity(credential, deadline=deadline)


def _require_token(response: "PipelineResponse[Any, Any]") -> None:
    # The SDK logs an answer that it cannot use, body and token included, as a warning: none gets that far.
    http = response.http_response
    if http.status_code == 200 and not _has_token(http.text()):
        raise KeyUnavailable("the managed identity endpoint answered 200 without a token")


def _has_token(body: str) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and {"access_token", "expires_on", "resource"} <= answer.keys()
