"""What the local host reads from `host.json`.

Sources: https://learn.microsoft.com/azure/azure-functions/functions-host-json and
https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# A .NET time span: [days.]hours:minutes:seconds[.fraction].
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")
_UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """The settings of HTTP functions.

    The prefix has no slash at either end; the timeout is in seconds (None: no limit). `max_concurrent` requests are
    answered at once; `max_outstanding` are answered or waiting.
    """

    route_prefix: str
    function_timeout: float | None
    max_concurrent: int
    max_outstanding: int

    @classmethod
    def parse(cls, host_json: Mapping[str, Any]) -> Self:
        """Read the parsed `host.json`; raises `ValueError` for a bad time span."""
        http = host_json.get("extensions", {}).get("http", {})
        # 30 minutes is the default of every plan but Consumption.
        timeout = host_json.get("functionTimeout", "00:30:00")
        return cls(
            route_prefix=http.get("routePrefix", "api").strip("/"),
            function_timeout=None if timeout == str(_UNLIMITED) else _seconds("functionTimeout", timeout),
            max_concurrent=_limit(http.get("maxConcurrentRequests", _UNLIMITED)),
            max_outstanding=_limit(http.get("maxOutstandingRequests", _UNLIMITED)),
        )


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """The settings of queue functions; times are in seconds.

    `batch_size` messages are taken at once, and more when at most `new_batch_threshold` are left. A message that
    failed shows again after `retry_after`; after `max_dequeue_count` failures it is poison. `longest_poll` is the
    longest time between two polls. The real host hides a message for ten minutes (`lease`), whatever its settings.
    """

    batch_size: int
    new_batch_threshold: int
    max_dequeue_count: int
    retry_after: float
    longest_poll: float
    lease: float = 600.0

    @classmethod
    def parse(cls, host_json: Mapping[str, Any]) -> Self:
        """Read the parsed `host.json`; raises `ValueError` for a bad time span."""
        queues = host_json.get("extensions", {}).get("queues", {})
        batch_size = queues.get("batchSize", 16)
        return cls(
            batch_size=batch_size,
            new_batch_threshold=queues.get("newBatchThreshold", batch_size // 2),
            max_dequeue_count=queues.get("maxDequeueCount", 5),
            retry_after=_seconds("visibilityTimeout", queues.get("visibilityTimeout", "00:00:00")),
            longest_poll=_seconds("maxPollingInterval", queues.get("maxPollingInterval", "00:01:00")),
        )


def _seconds(name: str, time_span: str) -> float:
    parts = _TIME_SPAN.fullmatch(time_span)
    if parts is None:
        raise ValueError(f"{name}: {time_span!r} is not a time span.")
    days, hours, minutes, seconds = parts.groups(default="0")
    return ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)


def _limit(value: int) -> int:
    return sys.maxsize if value == _UNLIMITED else value
