"""The queue of a broker on loopback, drained as the Functions host does it."""

from shared.queues.port import RESULTS_QUEUE, MemoryQueue, QueuedMessage
from tests.support.broker import Broker

HIDDEN_SECONDS = 600
"""How long the host hides a message that it works on."""


async def collect_due(broker: Broker) -> int:
    """Hand `collect_result` every message that shows by now; answers how many there were."""
    queue = memory_queue(broker)
    collected = 0
    while message := queue.take(HIDDEN_SECONDS):
        await deliver(broker, message.text)
        queue.finish(message)
        collected += 1
    return collected


async def collect_all(broker: Broker) -> None:
    """Let time pass from message to message until the queue is empty."""
    while waiting := waiting_messages(broker):
        broker.clock.now = max(broker.clock.now, min(message.visible_at for message in waiting))
        await collect_due(broker)


async def deliver(broker: Broker, text: str, *, dequeue_count: int = 1) -> None:
    """Hand `collect_result` a message; raises what the function raises."""
    await broker.host.invoke_queue(RESULTS_QUEUE, text, dequeue_count, "a-message")


def waiting_messages(broker: Broker) -> list[QueuedMessage]:
    """The messages in the queue, hidden ones too."""
    return memory_queue(broker).messages


def memory_queue(broker: Broker) -> MemoryQueue:
    """The queue of a broker that has none of Azure's."""
    assert isinstance(broker.app.queue, MemoryQueue)
    return broker.app.queue
