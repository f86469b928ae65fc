"""The part of the local functions host that feeds queue functions."""

from local.host_json import QueueOptions
from local.queues.pump import QueuePump, queue_pump
from local.queues.sources import MemorySource, MessageSource, StorageSource, TakenMessage

__all__ = [
    "MemorySource",
    "MessageSource",
    "QueueOptions",
    "QueuePump",
    "StorageSource",
    "TakenMessage",
    "queue_pump",
]
