"""How full a queue is."""

from typing import Self

from shared.queues.azure_queue import queue_client
from shared.queues.port import RESULTS_QUEUE


class Depth:
    """Counts the messages in a queue, hidden ones too; Azurite's count is exact."""

    def __init__(self, connection_string: str, name: str = RESULTS_QUEUE) -> None:
        self._client = queue_client(connection_string, name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def count(self) -> int:
        """Count them; a queue that is not there is empty."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return int((await self._client.get_queue_properties()).approximate_message_count or 0)
        except ResourceNotFoundError:
            return 0


async def counted(connection_string: str, *names: str) -> tuple[int, ...]:
    """Count the messages in some queues."""
    counts = []
    for name in names:
        async with Depth(connection_string, name) as depth:
            counts.append(await depth.count())
    return tuple(counts)
