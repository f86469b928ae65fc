"""Sends calls at some in flight, and measures what they cost."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median

IN_FLIGHT = (1, 16, 64)
ROUNDS = 15
CALLS = 256
"""In each round."""

Send = Callable[[], Awaitable[None]]


async def send_all(send: Send, calls: int, in_flight: int) -> list[float]:
    """Send so many calls, `in_flight` at a time; return the seconds that each took."""
    left = iter(range(calls))
    took: list[float] = []

    async def caller() -> None:
        for _ in left:
            started = time.perf_counter()
            await send()
            took.append(time.perf_counter() - started)

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return took


async def compare(ours: Send, theirs: Send, in_flight: int) -> tuple[str, str, str]:
    """Call both in turn; return the microseconds of CPU of this process for one call of each, and their ratio."""
    rounds = [(await _cpu(ours, in_flight), await _cpu(theirs, in_flight)) for _ in range(ROUNDS + 1)]
    del rounds[0]  # It opens connections.
    mine, other = (median(costs) for costs in zip(*rounds, strict=True))
    return f"{mine:.0f}", f"{other:.0f}", f"{ratio(rounds):.2f}"


async def _cpu(send: Send, in_flight: int) -> float:
    # Garbage of the round before is not paid for by this one.
    gc.collect()
    began = time.process_time()
    await send_all(send, CALLS, in_flight)
    return (time.process_time() - began) / CALLS * 1e6


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the median of the rounds' ratios: what slows the machine down for a round slows down both."""
    return median(mine / other for mine, other in pairs)


def table(*rows: Sequence[object]) -> str:
    """Lay rows out as a table of Markdown; the first is the head."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "| --- " * len(rows[0]) + "|", *lines[1:]])
