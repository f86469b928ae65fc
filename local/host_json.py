"""What the local host reads from `host.json`; a missing setting has the real host's default.

Sources: https://learn.microsoft.com/azure/azure-functions/functions-host-json and
https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# A .NET time span; one of days, or `-1` for no limit, is not supported.
_TIME_SPAN = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


def function_timeout(host_json: Mapping[str, Any]) -> float:
    """Return how long a function may run, in seconds; raises `ValueError` for a bad time span."""
    # 30 minutes is the default of every plan but Consumption.
    return _seconds(host_json, "functionTimeout", "00:30:00")


def route_prefix(host_json: Mapping[str, Any]) -> str:
    """Return the prefix of all routes, without a slash at either end."""
    return str(host_json.get("extensions", {}).get("http", {}).get("routePrefix", "api")).strip("/")


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """The settings of queue functions; times are in seconds.

    `batch_size` messages are taken at once. A message that failed shows again after `retry_after`; after
    `max_dequeue_count` failures it is poison. The real host hides a message for ten minutes (`lease`), whatever its
    settings.
    """

    batch_size: int
    max_dequeue_count: int
    retry_after: float
    lease: float = 600.0

    @classmethod
    def parse(cls, host_json: Mapping[str, Any]) -> Self:
        """Read the parsed `host.json`; raises `ValueError` for a bad time span."""
        queues = host_json.get("extensions", {}).get("queues", {})
        return cls(
            batch_size=queues.get("batchSize", 16),
            max_dequeue_count=queues.get("maxDequeueCount", 5),
            retry_after=_seconds(queues, "visibilityTimeout", "00:00:00"),
        )


def _seconds(settings: Mapping[str, Any], name: str, default: str) -> float:
    time_span = settings.get(name, default)
    parts = _TIME_SPAN.fullmatch(time_span)
    if parts is None:
        raise ValueError(f"{name}: {time_span!r} is not a time span that the local host reads.")
    hours, minutes, seconds = parts.groups()
    return (int(hours) * 60 + int(minutes)) * 60 + float(seconds)
