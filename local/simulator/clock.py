"""Time as a dependency of the simulator."""

import time
from collections.abc import Awaitable, Callable

Clock = Callable[[], int]
"""Answers the time in milliseconds since 1970-01-01 UTC."""

Sleep = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds."""


def system_clock() -> int:
    """Answer this machine's time, in unix milliseconds."""
    return time.time_ns() // 1_000_000
