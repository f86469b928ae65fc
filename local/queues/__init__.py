"""The part of the local functions host that feeds queue functions."""

from local.queues.pump import QueuePump, queue_pump
from local.queues.sources import MemorySource, MessageSource, StorageSource, TakenMessage

__all__ = [
    "MemorySource",
    "MessageSource",
    "QueuePump",
    "StorageSource",
    "TakenMessage",
    "queue_pump",
]
