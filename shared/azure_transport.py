"""The transport of the Azure SDKs over the connections of the process, and what their errors mean to the broker.

Importing this imports the SDKs' core.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

import aiohttp
from azure.core.exceptions import (
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
)
from azure.core.pipeline.transport import AioHttpTransport

from shared.errors import EventsUnavailable, KeyUnavailable, StorageUnavailable
from shared.http import CONNECT_SECONDS, IN_FLIGHT, NEVER_LEFT, Connections, enter
from shared.text import retry_after_seconds

LONGEST_PAUSE: Final = 60.0
"""Seconds. A service of Azure that is busy for longer is asked again all the same."""


def headers_of(error: Exception) -> Mapping[str, str]:
    """The headers of the response that an error of an SDK was made from; none where there was no response."""
    # The SDKs' type for a response does not say that it has headers; each of its classes does.
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    return headers


_Error = TypeVar("_Error", StorageUnavailable, EventsUnavailable, KeyUnavailable)


def unavailable(
    kind: type[_Error],
    service: str,
    fault: Exception,
    advice: Mapping[object, str],
    *,
    code: str = "",
    lasting: Collection[object] = (),
    longest: float = LONGEST_PAUSE,
) -> _Error:
    """The error for what a call of a service raised; `advice` by its code or status tells the operator what to do.

    Errors with a status in `lasting` stay until the operator has acted. A pause that the service asks for counts up to
    `longest` seconds.

    Besides their own errors the SDKs raise what their parsers raise for an answer that is not the service's. Nothing
    of an error's text is repeated: it may quote whole bodies.
    """
    if isinstance(fault, KeyUnavailable):
        return kind(f"no token for {service}: {fault.detail}", retry_after=fault.retry_after)
    status = fault.status_code if isinstance(fault, HttpResponseError) else None
    if isinstance(fault, ResourceNotFoundError):
        # The SDK of Event Grid makes this error itself, without the answer.
        status = 404
    if status is None:
        cause = getattr(fault, "inner_exception", None) or fault
        how = "in time" if isinstance(cause, TimeoutError) else f"usably: {type(cause).__name__}"
        return kind(f"{service} did not answer {how}")
    detail = f"{service} answered {status} {code}".rstrip()
    unusable = "the answer cannot be used" if status < 300 else None
    if told := advice.get(code) or advice.get(status) or unusable:
        detail += f": {told}"
    asked = retry_after_seconds(headers_of(fault), longest) or 0.0
    return kind(detail, retry_after=max(1.0, asked), lasting=status in lasting)


class AzureTransport(AioHttpTransport):  # type: ignore[misc] # The SDK loads the class lazily, as Any.
    """Sends the requests of one SDK client, at most `IN_FLIGHT` at a time; bytes above `largest_answer` are refused.

    A call ends where the service is silent for `read_timeout` seconds; without it, only its caller ends it. A client
    that is given a transport ignores its own options of this kind.

    Without `connections` it makes its own, and closes them with the client.
    """

    def __init__(
        self, connections: Connections | None, largest_answer: int, read_timeout: float | None = None
    ) -> None:
        super().__init__(
            use_env_settings=False, connection_timeout=CONNECT_SECONDS, read_timeout=read_timeout
        )
        self._connections = connections or Connections()
        self._owns_connections = connections is None
        self._largest_answer = largest_answer
        self._gate = asyncio.Semaphore(IN_FLIGHT)
        self.session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session with the first request: it belongs to the event loop that this runs in."""
        if self.session is None:
            self.session = self._connections.open_session(self._largest_answer)

    async def close(self) -> None:
        """Close the connections, if they are its own."""
        if self._owns_connections:
            await self._connections.aclose()

    async def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 - the SDK's own types.
        """Send one request; raises the SDK's errors."""
        try:
            await enter(self._gate)
        except TimeoutError as error:
            raise ServiceRequestTimeoutError("too many requests are under way") from error
        try:
            return await super().send(request, **options)
        except ServiceRequestError as error:
            if error.inner_exception is None or isinstance(error.inner_exception, NEVER_LEFT):
                raise
            # The SDK takes each error of aiohttp for a request that never left, and may repeat it.
            raise ServiceResponseError(error.inner_exception, error=error.inner_exception) from error
        finally:
            self._gate.release()
