"""The app's managed identity: tokens for our own calls and for the Azure SDK clients."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from shared.errors import KeyUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline import PipelineResponse

    from shared.http import Connections

SDK_OPTIONS: Final[dict[str, Any]] = {
    # One more try of a failed connection, at once; the SDKs' default is three, seconds apart.
    "retry_total": 1,
    # azure-core would wait out a `Retry-After` until the deadline, and hide the reason.
    "retry_status": 0,
}
"""Options of the SDK clients in this package."""

LARGEST_ANSWER: Final = 128 << 10
"""Bytes in an answer of the vault or the identity endpoint; a secret has at most 25 KiB."""


DEADLINE_SECONDS: Final = 1.5
"""How long a caller waits for a token. It is less than the deadlines of the calls that need one, 2 seconds for store
and queue and 3 for the vault, so that their errors name the identity where it is what does not answer."""

PATIENCE_SECONDS: Final = 15.0
"""How long a request for a token goes on after its callers have left."""

_ASSIGN = "assign it, and compare the configured client id"
_MISSING = f"the identity is missing or not assigned to the app: {_ASSIGN}"
_ADVICE: Final[dict[object, str]] = {
    400: _MISSING,
    401: "it does not accept the app's own header: restart the app",
    403: _MISSING,
    404: f"the identity is not there, or not yet: try again, then {_ASSIGN}",
    408: "it was too slow: try again later",
    429: "it throttles the app: try again later",
}


@dataclass(frozen=True, repr=False)
class _Answer:
    """A token in the result of a task. It has no repr, because the repr of a task shows its result."""

    token: "AccessToken"


class ManagedIdentity:
    """An `AsyncTokenCredential` that answers within `DEADLINE_SECONDS` or raises `KeyUnavailable`.

    Callers that want the same token share one request. It goes on when they are cancelled, for up to
    `PATIENCE_SECONDS`: an endpoint slower than a caller's own deadline still gives a token to later callers. The SDK's
    credential keeps tokens in memory, and renews them long before their end.
    """

    def __init__(self, credential: "AsyncTokenCredential") -> None:
        self._credential = credential
        self._requests: dict[tuple[object, ...], asyncio.Task[_Answer]] = {}

    async def get_token(self, *scopes: str, **options: Any) -> "AccessToken":  # noqa: ANN401 - the SDK's own.
        """Return a token for one scope; any `claims` make the SDK ask for a new one."""
        wanted = (scopes, *sorted(options.items()))
        if wanted not in self._requests:
            ask = partial(self._credential.get_token, *scopes, **options)
            self._requests[wanted] = asyncio.create_task(self._fetch(ask), name="fetch a token")
            self._requests[wanted].add_done_callback(partial(self._forget, wanted))
        request = self._requests[wanted]
        with _explained():
            async with asyncio.timeout(DEADLINE_SECONDS):
                # Unlike awaiting the task, this does not cancel it with its caller.
                await asyncio.wait((request,))
        if request.cancelled():
            raise KeyUnavailable("the request for a token was broken off")
        return request.result().token

    async def close(self) -> None:
        """End running requests, and close the connections to the identity endpoint."""
        requests = list(self._requests.values())
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
        await self._credential.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def _fetch(self, ask: Callable[[], Awaitable["AccessToken"]]) -> _Answer:
        with _explained():
            async with asyncio.timeout(PATIENCE_SECONDS):
                return _Answer(await ask())

    def _forget(self, wanted: tuple[object, ...], request: asyncio.Task[_Answer]) -> None:
        del self._requests[wanted]
        if not request.cancelled():
            # All callers may have left: asyncio would log an exception that nobody looked at.
            request.exception()


def open_identity(client_id: str | None = None, connections: "Connections | None" = None) -> ManagedIdentity:
    """Make the system-assigned identity, or the user-assigned one. The SDK takes some 0.3 s to import."""
    from azure.identity.aio import ManagedIdentityCredential

    from shared.azure_transport import AzureTransport

    credential = ManagedIdentityCredential(
        client_id=client_id,
        transport=AzureTransport(connections, LARGEST_ANSWER),
        raw_response_hook=_require_token,
        **SDK_OPTIONS,
    )
    return ManagedIdentity(credential)


def _require_token(response: "PipelineResponse[Any, Any]") -> None:
    # The SDK logs a response that it cannot use as a warning, with its body and token: stop it before that.
    http = response.http_response
    if http.status_code == 200 and not _has_token(http.text()):
        raise KeyUnavailable("the managed identity endpoint answered 200 without a token")


def _has_token(body: str) -> bool:
    # A function of its own, so that the frame which raises has no variable with the token.
    with suppress(ValueError):
        answer = json.loads(body)
        return isinstance(answer, dict) and {"access_token", "expires_on", "resource"} <= answer.keys()
    return False


@contextmanager
def _explained() -> Iterator[None]:
    """Turn every error of one request for a token into `KeyUnavailable`, which tells the operator what to do.

    The SDK's error is cut off with `from None`: its text quotes whole bodies, which may hold a secret.
    """
    from azure.core.exceptions import ClientAuthenticationError

    from shared.azure_transport import unavailable

    try:
        yield
    except KeyUnavailable:
        raise
    except Exception as error:
        if isinstance(error, ClientAuthenticationError) and error.status_code is None:
            raise KeyUnavailable(f"there is no managed identity endpoint: {_MISSING}") from None
        raise unavailable(KeyUnavailable, "the managed identity endpoint", error, _ADVICE) from None
