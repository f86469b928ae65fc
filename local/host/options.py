"""What this host reads of `host.json`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["HostOptions"]

# A .NET time span: [days.]hours:minutes:seconds[.fraction].
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")
_UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class HostOptions:
    """The settings of `host.json` that show over HTTP.

    The prefix has no slash at either end, the timeout is in seconds, `max_concurrent` are the requests
    answered at once, `max_outstanding` those answered or waiting; None means no limit.

    Source: https://learn.microsoft.com/azure/azure-functions/functions-host-json
    """

    route_prefix: str
    function_timeout: float | None
    max_concurrent: int | None
    max_outstanding: int | None

    @classmethod
    def parse(cls, host_json: Mapping[str, Any]) -> Self:
        """Read the parsed `host.json`; raises `ValueError` for a `functionTimeout` that is no time span."""
        http = host_json.get("extensions", {}).get("http", {})
        return cls(
            route_prefix=http.get("routePrefix", "api").strip("/"),
            # 30 minutes is the default of every plan but Consumption.
            function_timeout=_seconds(host_json.get("functionTimeout", "00:30:00")),
            max_concurrent=_limit(http.get("maxConcurrentRequests", _UNLIMITED)),
            max_outstanding=_limit(http.get("maxOutstandingRequests", _UNLIMITED)),
        )


def _seconds(time_span: str) -> float | None:
    if time_span == str(_UNLIMITED):
        return None
    parts = _TIME_SPAN.fullmatch(time_span)
    if parts is None:
        raise ValueError(f"functionTimeout: {time_span!r} is no time span.")
    days, hours, minutes, seconds = parts.groups(default="0")
    return ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)


def _limit(value: int) -> int | None:
    return None if value == _UNLIMITED else value
