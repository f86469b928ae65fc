"""Stands in for the part of the Azure Functions host that feeds queue triggers."""

from local.queues.memory import MemorySource
from local.queues.options import QueueOptions
from local.queues.pump import QueuePump
from local.queues.source import MessageSource, TakenMessage
from local.queues.storage import StorageSource
from local.queues.wiring import queue_pump

__all__ = [
    "MemorySource",
    "MessageSource",
    "QueueOptions",
    "QueuePump",
    "StorageSource",
    "TakenMessage",
    "queue_pump",
]
