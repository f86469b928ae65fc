"""Calls side by side, at the price of nothing where they do not wait."""

import asyncio
import sys
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def side_by_side(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run calls at the same time and answer what they answered, in their order; raises what one of them raised.

    Each begins at once where Python can do that (3.12), and not a turn of the event loop later: the first bytes
    leave sooner, and what never waits, as the store in memory, takes no turn at all.
    """
    calls = list(calls)
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [_begun(call) for call in calls]
    if all(task.done() for task in tasks):
        return [task.result() for task in tasks]
    return await asyncio.gather(*tasks)


def _begun(call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(call, loop=loop, eager_start=True)
    return loop.create_task(call)
