"""Calls side by side."""

import asyncio

import pytest

from shared.concurrency import side_by_side


async def test_calls_that_wait_for_each_other_end() -> None:
    """Each call begins before any has to end, and the answers keep the calls' order."""
    first_came, second_came = asyncio.Event(), asyncio.Event()

    async def first() -> str:
        first_came.set()
        await second_came.wait()
        return "first"

    async def second() -> str:
        second_came.set()
        await first_came.wait()
        return "second"

    assert await side_by_side([first(), second()]) == ["first", "second"]


async def test_calls_that_do_not_wait_are_answered() -> None:
    """Answers that are there at once are answers like others; no calls have none."""

    async def at_once(answer: int) -> int:
        return answer

    assert await side_by_side([at_once(1), at_once(2)]) == [1, 2]
    assert await side_by_side([]) == []


@pytest.mark.parametrize("waits", [True, False], ids=["late", "at once"])
async def test_a_call_that_raises_raises(waits: bool) -> None:
    """What one call raises is raised, whether it waited or not."""

    async def failing() -> None:
        if waits:
            await asyncio.sleep(0)
        raise LookupError

    with pytest.raises(LookupError):
        await side_by_side([failing()])
