"""The transport of the Azure SDKs over the connections of the process. Importing this imports the SDKs' core."""

import asyncio
from typing import Any

import aiohttp
from azure.core.exceptions import ServiceRequestTimeoutError
from azure.core.pipeline.transport import AioHttpTransport

from shared.http import GATE_SECONDS, IN_FLIGHT, Connections


class AzureTransport(AioHttpTransport):  # type: ignore[misc] # The SDK loads the class lazily, as Any.
    """Sends the requests of one SDK client, with bounded answers and at most `IN_FLIGHT` under way.

    The connections are their owner's to close.
    """

    def __init__(self, connections: Connections, largest_answer: int) -> None:
        super().__init__(use_env_settings=False)
        self._connections = connections
        self._largest_answer = largest_answer
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    async def open(self) -> None:
        """Make the session with the first request: it belongs to the event loop that this runs in."""
        if self.session is None:
            self.session: aiohttp.ClientSession | None = self._connections.open_session(self._largest_answer)

    async def close(self) -> None:
        """Leave the connections to their owner."""

    async def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 - the SDK's own types.
        """Send one request; raises the SDK's errors."""
        try:
            async with asyncio.timeout(GATE_SECONDS):
                await self._gate.acquire()
        except TimeoutError as error:
            raise ServiceRequestTimeoutError("too many requests are under way") from error
        try:
            return await super().send(request, **options)
        finally:
            self._gate.release()
