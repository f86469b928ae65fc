"""The app's managed identity: tokens for our own calls and for the Azure SDK clients."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from shared.errors import KeyUnavailable
from shared.keys.failures import explained_for_identity

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline import PipelineResponse

SDK_OPTIONS: Final[dict[str, Any]] = {
    # Seconds; the SDKs' own defaults are 300 each.
    "connection_timeout": 1,
    "read_timeout": 2,
    # A failed connection is tried once more, at once, within the deadline; the SDKs' default is three times,
    # seconds apart.
    "retry_total": 1,
    "retry_read": 0,
    # A refusal is reported at once, and the cache tries again later: azure-core would wait out a `Retry-After`
    # until the deadline, and hide the reason.
    "retry_status": 0,
    # The identity's own secret header goes over plain http on the machine: never through a proxy.
    "use_env_settings": False,
}
"""Options of the SDK clients in this package."""


class ManagedIdentity:
    """An `AsyncTokenCredential` that answers within `deadline` seconds or raises `KeyUnavailable`.

    Callers that want the same token share one request. It goes on when they are cancelled, for up to `patience`
    seconds: an endpoint slower than a caller's own deadline still gives a token to later callers. The SDK's
    credential keeps tokens in memory, and renews them long before their end.
    """

    def __init__(self, credential: "AsyncTokenCredential", *, deadline: float, patience: float) -> None:
        self._credential = credential
        self._deadline = deadline
        self._patience = patience
        self._requests: dict[tuple[object, ...], _Request] = {}

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **options: Any,  # noqa: ANN401 - the SDK's own signature.
    ) -> "AccessToken":
        """Return a token for one scope; any `claims` make the SDK ask for a new one."""

        async def ask() -> "AccessToken":
            async with asyncio.timeout(self._patience):
                return await self._credential.get_token(
                    *scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae, **options
                )

        wanted = (scopes, claims, tenant_id, enable_cae)
        if wanted not in self._requests:
            self._requests[wanted] = _Request(ask, ended=lambda: self._requests.pop(wanted))
        return await self._requests[wanted].token(self._deadline)

    async def close(self) -> None:
        """End running requests, and close the connections to the identity endpoint."""
        for request in list(self._requests.values()):
            await request.aclose()
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


class _Request:
    """One request for a token, shared by its callers."""

    def __init__(self, ask: Callable[[], Awaitable["AccessToken"]], ended: Callable[[], object]) -> None:
        self._answer: AccessToken | KeyUnavailable = KeyUnavailable("the request for a token was broken off")
        # The task returns nothing, because the repr of a task shows its result.
        self._task = asyncio.create_task(self._run(ask), name="fetch a token")
        self._task.add_done_callback(lambda _: ended())

    async def token(self, deadline: float) -> "AccessToken":
        """Wait for the answer at most `deadline` seconds; raises `KeyUnavailable`."""
        with explained_for_identity():
            async with asyncio.timeout(deadline):
                # Unlike awaiting the task, this does not cancel it with its caller.
                await asyncio.wait((self._task,))
        if isinstance(self._answer, KeyUnavailable):
            raise KeyUnavailable(self._answer.detail, retry_after=self._answer.retry_after)
        return self._answer

    async def aclose(self) -> None:
        """End the request."""
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self, ask: Callable[[], Awaitable["AccessToken"]]) -> None:
        try:
            with explained_for_identity():
                self._answer = await ask()
        except KeyUnavailable as failure:
            self._answer = failure
        except Exception as error:
            # Its text might quote anything, a token included.
            self._answer = KeyUnavailable(f"asking for a token failed with {type(error).__name__}")


def open_identity(
    client_id: str | None = None, *, deadline: float = 3.0, patience: float = 15.0
) -> ManagedIdentity:
    """Make the credential of the system-assigned identity, or of the user-assigned one with this client id.

    Imports the SDK, which takes some 0.3 s: call it once in a process, where the app is built.
    """
    from azure.identity.aio import ManagedIdentityCredential

    credential = ManagedIdentityCredential(
        client_id=client_id, raw_response_hook=_require_token, **SDK_OPTIONS | {"read_timeout": patience}
    )
    return ManagedIdentity(credential, deadline=deadline, patience=patience)


def _require_token(response: "PipelineResponse[Any, Any]") -> None:
    # The SDK logs a response that it cannot use as a warning, with its body and token: stop it before that.
    http = response.http_response
    if http.status_code == 200 and not _has_token(http.text()):
        raise KeyUnavailable("the managed identity endpoint answered 200 without a token")


def _has_token(body: str) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and {"access_token", "expires_on", "resource"} <= answer.keys()
