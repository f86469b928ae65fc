"""Doubles for the pump: a queue function, and a queue that never runs dry."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from local.host_json import QueueOptions
from local.queues import MemorySource, TakenMessage
from shared.errors import StorageUnavailable
from shared.queues.memory import MemoryQueue
from tests.support.time import FakeClock

OPTIONS = QueueOptions(
    batch_size=4, new_batch_threshold=2, max_dequeue_count=3, retry_after=0, longest_poll=0.4, lease=600
)


@dataclass
class QueueFunction:
    """Notes its calls; fails for texts in `failing`, and waits until `open` is set."""

    failing: set[str] = field(default_factory=set)
    calls: list[tuple[str, int]] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open.set()

    async def __call__(self, text: str, dequeue_count: int, message_id: str) -> None:
        self.calls.append((text, dequeue_count))
        self.called.set()
        await self.open.wait()
        if text in self.failing:
            raise RuntimeError("not yet")
        self.ended.append(text)


class EndlessSource(MemorySource):
    """A queue that never runs dry; its first `outages` polls fail, and `enough` is set at the 20th."""

    def __init__(self, outages: int = 0) -> None:
        super().__init__(MemoryQueue(FakeClock()))
        self.outages = outages
        self.most_held = 0
        self.held: set[str] = set()
        self.takes = 0
        self.enough = asyncio.Event()

    async def take(self, count: int, lease_seconds: float) -> Sequence[TakenMessage]:
        self.takes += 1
        if self.takes == 20:
            self.enough.set()
        if self.takes <= self.outages:
            raise StorageUnavailable("the queue failed: ServiceRequestError")
        taken = [TakenMessage(f"{self.takes}.{number}", "", 1, "") for number in range(count)]
        self.held.update(message.id for message in taken)
        self.most_held = max(self.most_held, len(self.held))
        return taken

    async def remove(self, message: TakenMessage) -> None:
        self.held.discard(message.id)

    async def release(self, message: TakenMessage, delay_seconds: float) -> None:
        raise StorageUnavailable("the queue failed: ServiceRequestError")
