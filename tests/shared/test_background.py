"""Work that goes on after its caller was answered."""

import asyncio
import logging

import pytest

from shared.background import Background
from tests.support.time import in_virtual_time

DEADLINE = 10.0


class Work:
    """Takes some seconds; `ended` are the results of work that was not cancelled, `late` those that came late."""

    def __init__(self) -> None:
        self.background = Background()
        self.ended: list[float] = []
        self.late: list[float] = []

    async def run(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        self.ended.append(seconds)
        if seconds == 13.0:
            raise RuntimeError("CANARY")
        return seconds

    async def when_late(self, result: float) -> None:
        self.late.append(result)

    async def answer(self, seconds: float) -> float:
        return await self.background.answer_by(DEADLINE, self.run(seconds), self.when_late)


@in_virtual_time
async def test_work_in_time_is_answered_with_its_result_or_error() -> None:
    """Nothing of it is left for later."""
    work = Work()
    assert await work.answer(9.9) == 9.9
    work.background = Background()
    with pytest.raises(TimeoutError):
        # The loop's time is 9.9 already.
        await work.answer(0.2)
    assert asyncio.get_running_loop().time() == pytest.approx(DEADLINE)
    await asyncio.sleep(1.0)
    assert (work.ended, work.late) == ([9.9, 0.2], [0.2])


@in_virtual_time
async def test_no_work_is_started_after_the_deadline() -> None:
    """Its caller gets an error at once, so nothing may happen any more."""
    work = Work()
    await asyncio.sleep(DEADLINE)
    with pytest.raises(TimeoutError):
        await work.answer(1.0)
    await asyncio.sleep(60.0)
    assert (work.ended, work.late) == ([], [])


@in_virtual_time
async def test_error_of_work_in_time_is_raised() -> None:
    """As if it had been awaited."""

    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Background().answer_by(DEADLINE, fail(), lambda _: asyncio.sleep(0))


@in_virtual_time
async def test_cancelled_caller_cancels_its_work() -> None:
    """As if it had been awaited."""
    work = Work()
    caller = asyncio.create_task(work.answer(5.0))
    await asyncio.sleep(1.0)
    caller.cancel()
    await asyncio.wait((caller,))
    await asyncio.sleep(60.0)
    assert (caller.cancelled(), work.ended, work.late) == (True, [], [])


def test_late_failure_is_logged_by_its_type(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody else hears of it; its text could hold anything."""

    @in_virtual_time
    async def fail_late() -> None:
        work = Work()
        with pytest.raises(TimeoutError):
            await work.answer(13.0)
        await asyncio.sleep(60.0)
        assert work.late == []

    with caplog.at_level(logging.WARNING):
        fail_late()
    assert [record.getMessage() for record in caplog.records] == [
        '{"event": "late_work_failed", "error": "RuntimeError"}'
    ]


@in_virtual_time
async def test_closing_ends_late_work() -> None:
    """At the end of the app no task is left."""
    work = Work()
    with pytest.raises(TimeoutError):
        await work.answer(30.0)
    await work.background.aclose()
    await asyncio.sleep(60.0)
    assert (work.ended, work.late) == ([], [])
    assert len(asyncio.all_tasks()) == 1


@in_virtual_time
async def test_started_work_goes_on_and_its_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for it, so nobody else hears of its error. Closing ends it."""
    work = Work()
    for seconds in (1.0, 13.0, 99.0):
        work.background.start(work.run(seconds))
    with caplog.at_level(logging.WARNING):
        await asyncio.sleep(50.0)
    assert work.ended == [1.0, 13.0]
    assert [record.getMessage() for record in caplog.records] == [
        '{"event": "late_work_failed", "error": "RuntimeError"}'
    ]
    await work.background.aclose()
    await asyncio.sleep(50.0)
    assert work.ended == [1.0, 13.0]
