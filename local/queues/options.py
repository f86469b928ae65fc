"""What the queue pump reads of `host.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

HOST_LEASE_SECONDS = 600.0
"""For how long the host hides a message that it takes, whatever `visibilityTimeout` says: after a host that died it
takes that long until the message is delivered again."""

_HOST_BATCH = 16


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """The settings of the queue trigger; times are in seconds.

    `batch_size` messages are taken at once, and the next ones when no more than `new_batch_threshold` are left.
    A message that failed shows again after `retry_after`; one that failed `max_dequeue_count` times is poison.
    An empty queue is looked at less and less often, down to every `longest_poll`. `lease` is no setting of the host.

    Source: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
    """

    batch_size: int
    new_batch_threshold: int
    max_dequeue_count: int
    retry_after: float
    longest_poll: float
    lease: float = HOST_LEASE_SECONDS

    @classmethod
    def parse(cls, host_json: Mapping[str, Any]) -> Self:
        """Read the parsed `host.json`; raises `ValueError` for what is not `hh:mm:ss`."""
        queues = host_json.get("extensions", {}).get("queues", {})
        batch_size = queues.get("batchSize", _HOST_BATCH)
        return cls(
            batch_size=batch_size,
            new_batch_threshold=queues.get("newBatchThreshold", batch_size // 2),
            max_dequeue_count=queues.get("maxDequeueCount", 5),
            retry_after=_seconds(queues.get("visibilityTimeout", "00:00:00")),
            longest_poll=_seconds(queues.get("maxPollingInterval", "00:01:00")),
        )


def _seconds(time_span: str) -> float:
    hours, minutes, seconds = time_span.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
