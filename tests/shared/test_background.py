"""Work that goes on after its caller was answered."""

import asyncio

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
async def test_work_is_answered_by_the_deadline_and_goes_on_behind_it() -> None:
    """After the deadline no work is started: its caller gets an error, so nothing may happen any more."""
    work = Work()
    assert await work.answer(9.9) == 9.9
    with pytest.raises(TimeoutError):
        # The loop's time is 9.9 already.
        await work.answer(0.2)
    assert asyncio.get_running_loop().time() == pytest.approx(DEADLINE)
    with pytest.raises(TimeoutError):
        await work.answer(1.0)
    await asyncio.sleep(60.0)
    assert (work.ended, work.late) == ([9.9, 0.2], [0.2])


@in_virtual_time
async def test_error_of_work_in_time_is_raised() -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Background().answer_by(DEADLINE, fail(), lambda _: asyncio.sleep(0))


@in_virtual_time
async def test_cancelled_caller_cancels_its_work() -> None:
    work = Work()
    caller = asyncio.create_task(work.answer(5.0))
    await asyncio.sleep(1.0)
    caller.cancel()
    await asyncio.wait((caller,))
    await asyncio.sleep(60.0)
    assert (caller.cancelled(), work.ended, work.late) == (True, [], [])


@pytest.mark.parametrize("how", ["late", "started"])
@in_virtual_time
async def test_work_that_nobody_waits_for_goes_on_and_its_failure_is_logged(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the log has the error; its text could hold anything. Closing ends all work at the end of the app."""
    work, durations = Work(), (11.0, 13.0, 99.0)
    if how == "late":
        await asyncio.gather(*map(work.answer, durations), return_exceptions=True)
    else:
        for seconds in durations:
            work.background.start(work.run(seconds))
    await asyncio.sleep(50.0)
    ended = ([11.0, 13.0], [11.0] if how == "late" else [])
    assert (work.ended, work.late) == ended
    assert caplog.messages == ['{"event": "late_work_failed", "error": "RuntimeError"}']
    await work.background.aclose()
    await asyncio.sleep(50.0)
    assert (work.ended, work.late) == ended
    assert len(asyncio.all_tasks()) == 1


@in_virtual_time
async def test_closing_ends_work_that_has_just_become_late() -> None:
    work = Work()
    with pytest.raises(TimeoutError):
        await work.answer(30.0)
    await work.background.aclose()
    await asyncio.sleep(60.0)
    assert (work.ended, work.late, len(asyncio.all_tasks())) == ([], [], 1)
