"""The app's managed identity: tokens for our own calls and for the Azure SDK clients."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from shared.errors import KeyUnavailable
from shared.flight import Flight
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

    The SDK's credential inside keeps tokens in memory, and renews them long before their end. A request for one
    belongs to nobody who waits for it: it goes on for `patience` seconds, so that an endpoint slower than those
    who wait have time for still gives a token, to those who ask later.
    """

    def __init__(self, credential: "AsyncTokenCredential", *, deadline: float, patience: float) -> None:
        self._credential = credential
        self._deadline = deadline
        self._patience = patience
        self._fetches: dict[tuple[object, ...], _Fetch] = {}

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **options: Any,  # noqa: ANN401 - the SDK's own signature.
    ) -> "AccessToken":
        """Answer a token for one scope; `claims` of any content make the SDK ask for a new one."""

        async def ask() -> "AccessToken":
            async with asyncio.timeout(self._patience):
                return await self._credential.get_token(
                    *scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae, **options
                )

        wanted = (scopes, claims, tenant_id, enable_cae)
        self._fetches = {key: fetch for key, fetch in self._fetches.items() if not fetch.ended}
        fetch = self._fetches.get(wanted) or self._fetches.setdefault(wanted, _Fetch(ask))
        with explained_for_identity():
            async with asyncio.timeout(self._deadline):
                return await fetch.token()

    async def close(self) -> None:
        """End the requests that are under way, and close the connections to the identity endpoint."""
        for fetch in self._fetches.values():
            await fetch.aclose()
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


class _Fetch:
    """One request for a token, for all who wait for it."""

    def __init__(self, ask: Callable[[], Awaitable["AccessToken"]]) -> None:
        self._ask = ask
        self._token: AccessToken | None = None
        self._failure = KeyUnavailable("the request for a token was broken off")
        self.ended = False
        self._flight = Flight("fetch a token")
        self._flight.start(self._fly)

    async def token(self) -> "AccessToken":
        """Wait for it; raises `KeyUnavailable`."""
        await self._flight.landed()
        if self._token is None:
            raise KeyUnavailable(self._failure.detail, retry_after=self._failure.retry_after)
        return self._token

    async def aclose(self) -> None:
        """End it, if it is under way."""
        await self._flight.aclose()

    async def _fly(self) -> None:
        try:
            with explained_for_identity():
                self._token = await self._ask()
        except KeyUnavailable as failure:
            self._failure = failure
        except Exception as error:
            # Its text might hold anything, a token included.
            self._failure = KeyUnavailable(f"asking for a token failed with {type(error).__name__}")
        finally:
            self.ended = True


def open_identity(
    client_id: str | None = None, *, deadline: float = 3.0, patience: float = 15.0
) -> ManagedIdentity:
    """Build the credential of the system-assigned identity, or of the user-assigned one with this client id.

    Imports the SDK, which takes some 0.3 s: call it where the app is put together, once in a process.
    """
    from azure.identity.aio import ManagedIdentityCredential

    credential = ManagedIdentityCredential(
        client_id=client_id, raw_response_hook=_require_token, **SDK_OPTIONS | {"read_timeout": patience}
    )
    return ManagedIdentity(credential, deadline=deadline, patience=patience)


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
