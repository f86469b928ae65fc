"""Time as a dependency, so that no rule of the broker reads a clock by itself."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

Clock = Callable[[], int]
"""Answers the time in milliseconds since 1970-01-01 UTC."""

LATEST: Final = 253_402_300_799_999
"""The end of the year 9999, after which RFC 3339 has no times; a stored time is not later."""

Sleep = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds (`asyncio.sleep`)."""


def system_clock() -> int:
    """Answer this machine's time, in unix milliseconds."""
    return time.time_ns() // 1_000_000
