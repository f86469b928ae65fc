"""A queue whose delays go by a test's clock, over real queues."""

import base64
import heapq
import json
from dataclasses import dataclass, field
from typing import Final

from local.queues import StorageSource, TakenMessage
from shared.queues.azure_queue import open_queue
from shared.queues.port import RESULTS_QUEUE, MessageQueue
from tests.support.time import FakeClock

LATER_QUEUE: Final = f"{RESULTS_QUEUE}-later"

_WHOLE_TEST_SECONDS: Final = 3600
_PAGE: Final = 32


class LaterQueue:
    """Sends what is due at once to the queue itself, and what is due later to one beside it.

    Azurite knows only its own time. So the delay of a message is all that is made up here: both queues are real, and
    each send is a request that may fail.
    """

    def __init__(self, connection_string: str, clock: FakeClock) -> None:
        self._now: MessageQueue = open_queue(connection_string, RESULTS_QUEUE, create=True)
        self._later: MessageQueue = open_queue(connection_string, LATER_QUEUE, create=True)
        self._clock = clock

    async def send(self, text: str, delay_seconds: float) -> None:
        if delay_seconds < 1:
            await self._now.send(text, 0)
        else:
            due = self._clock() + round(delay_seconds * 1000)
            await self._later.send(json.dumps({"due": due, "text": text}), 0)

    async def check(self) -> None:
        await self._now.check()

    async def aclose(self) -> None:
        await self._now.aclose()
        await self._later.aclose()


@dataclass(order=True, slots=True)
class _Waiting:
    due: int
    number: int
    text: str = field(compare=False)
    message: TakenMessage = field(compare=False)


class Delivery:
    """Has messages of a `LaterQueue` show when they are due: what a storage service does whose time is the test's."""

    def __init__(self, connection_string: str) -> None:
        # It is no part of what is tested: on a loaded machine it may take its time.
        self._source = StorageSource(connection_string, LATER_QUEUE, deadline=30)
        self._queue = open_queue(connection_string, RESULTS_QUEUE, create=True, deadline=30)
        self._waiting: list[_Waiting] = []
        self._seen = 0

    async def next_due(self) -> int | None:
        """Answer when the next message is due (unix milliseconds), or None where there are no more."""
        while taken := await self._source.take(_PAGE, _WHOLE_TEST_SECONDS):
            for message in taken:
                self._seen += 1
                content = json.loads(base64.b64decode(message.content))
                heapq.heappush(self._waiting, _Waiting(content["due"], self._seen, content["text"], message))
        return self._waiting[0].due if self._waiting else None

    async def deliver(self, now: int) -> None:
        """Let all messages show that are due."""
        while self._waiting and self._waiting[0].due <= now:
            waiting = heapq.heappop(self._waiting)
            await self._queue.send(waiting.text, 0)
            await self._source.remove(waiting.message)

    async def aclose(self) -> None:
        await self._source.aclose()
        await self._queue.aclose()
