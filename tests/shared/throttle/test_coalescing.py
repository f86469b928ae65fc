"""Which requests run side by side, which go together, and what becomes of those whose caller has gone."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from shared.errors import EntityChanged, StorageUnavailable
from shared.throttle.coalescing import MAX_ROWS, Call, Coalescer
from shared.throttle.decision import Answer, Rows
from tests.shared.throttle.doubles import FakeStore, VirtualTime, device, limiter, turns

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="none")


class Ask:
    """A request with a name, for some rows."""

    makes_room = False

    def __init__(self, name: str, *keys: str) -> None:
        self.name = name
        self.keys = keys

    def decide(self, rows: Rows, now: int) -> Answer[str]:
        """Be there for the protocol: these tests settle by themselves."""
        raise NotImplementedError


def named(call: Call[Any]) -> str:
    """Answer the name of a call's request."""
    assert isinstance(call.request, Ask)
    return call.request.name


class Desk:
    """Settles what it is given when it is told to, and remembers who came together."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.contexts: list[str] = []
        self.failure: Exception | None = None
        self._gates: list[asyncio.Event] = []
        self.coalescer = Coalescer(self.settle)

    async def settle(self, calls: Sequence[Call[Any]]) -> None:
        self.batches.append([named(call) for call in calls])
        self.contexts.append(REQUEST_ID.get())
        gate = asyncio.Event()
        self._gates.append(gate)
        await gate.wait()
        if self.failure:
            raise self.failure
        for call in calls:
            call.outcome = named(call).upper()

    async def ask(self, name: str, *keys: str) -> asyncio.Task[str]:
        """Submit a request, and let it get as far as it can."""
        task = asyncio.create_task(self.coalescer.submit(Ask(name, *keys)))
        await turns(3)
        return task

    async def open(self, batch: int) -> None:
        """Let a batch end, and others begin."""
        self._gates[batch].set()
        await turns(3)


async def test_requests_without_a_shared_row_run_side_by_side() -> None:
    """Neither waits for the other."""
    desk = Desk()
    tasks = [await desk.ask("one", "a", "b"), await desk.ask("two", "c", "d")]
    assert desk.batches == [["one"], ["two"]]
    await desk.open(1)
    await desk.open(0)
    assert [await task for task in tasks] == ["ONE", "TWO"]


async def test_requests_that_wait_for_a_row_go_together_in_order_of_arrival() -> None:
    """Three that need a row in use are one batch when it comes free."""
    desk = Desk()
    tasks = [await desk.ask(name, "a", name) for name in ("one", "two", "three", "four")]
    assert desk.batches == [["one"]]
    await desk.open(0)
    assert desk.batches == [["one"], ["two", "three", "four"]]
    await desk.open(1)
    assert [await task for task in tasks] == ["ONE", "TWO", "THREE", "FOUR"]


async def test_request_does_not_overtake_one_that_waits_for_the_same_row() -> None:
    """Row b is free, but the second request was there before the third."""
    desk = Desk()
    tasks = [await desk.ask("one", "a"), await desk.ask("two", "a", "b"), await desk.ask("three", "b")]
    assert desk.batches == [["one"]]
    await desk.open(0)
    assert desk.batches == [["one"], ["two", "three"]]
    await desk.open(1)
    await asyncio.gather(*tasks)


async def test_request_goes_on_waiting_while_another_of_its_rows_is_in_use() -> None:
    """What shares no row with it goes on in the meantime."""
    desk = Desk()
    tasks = [
        await desk.ask("one", "a"),
        await desk.ask("two", "b"),
        await desk.ask("both", "a", "b"),
        await desk.ask("behind", "b"),
        await desk.ask("first", "a2", "a"),
    ]
    await desk.open(0)
    assert desk.batches == [["one"], ["two"]]
    await desk.open(1)
    assert desk.batches == [["one"], ["two"], ["both", "behind", "first"]]
    await desk.open(2)
    await asyncio.gather(*tasks)


async def test_batch_has_no_more_rows_than_one_write_takes() -> None:
    """The rest goes on after it, still in order."""
    desk = Desk()
    tasks = [await desk.ask(f"r{number}", "shared", f"row-{number}") for number in range(200)]
    await desk.open(0)
    await desk.open(1)
    await desk.open(2)
    await desk.open(3)
    assert [len(batch) for batch in desk.batches] == [1, MAX_ROWS - 1, MAX_ROWS - 1, 200 - 2 * MAX_ROWS + 1]
    assert [name for batch in desk.batches for name in batch] == [f"r{number}" for number in range(200)]
    await asyncio.gather(*tasks)


async def test_waiting_requests_beyond_one_batch_start_another_where_no_row_is_shared() -> None:
    """They do not wait for a batch that is none of theirs."""
    desk = Desk()
    many = [f"row-{number}" for number in range(MAX_ROWS)]
    tasks = [await desk.ask("all", *many, "x"), await desk.ask("wide", *many), await desk.ask("other", "x")]
    await desk.open(0)
    assert desk.batches == [["all"], ["wide"], ["other"]]
    await desk.open(1)
    await desk.open(2)
    await asyncio.gather(*tasks)


async def test_failure_of_a_batch_goes_to_everybody_in_it() -> None:
    """Each gets an error of its own, and the rows are free again."""
    desk = Desk()
    tasks = [await desk.ask(name, "a") for name in ("one", "two", "three")]
    await desk.open(0)
    desk.failure = StorageUnavailable("down", retry_after=7.0)
    await desk.open(1)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    errors = [error for error in outcomes if isinstance(error, StorageUnavailable)]
    assert outcomes[0] == "ONE"
    assert [(error.detail, error.retry_after) for error in errors] == [("down", 7.0)] * 2
    assert errors[0] is not errors[1]
    desk.failure = None
    again = await desk.ask("again", "a")
    await desk.open(2)
    assert await again == "AGAIN"


async def test_error_of_the_program_goes_to_everybody_in_the_batch() -> None:
    """Nobody is left waiting."""
    desk = Desk()
    tasks = [await desk.ask(name, "a") for name in ("one", "two", "three")]
    await desk.open(0)
    desk.failure = ZeroDivisionError("a bug")
    await desk.open(1)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str, ZeroDivisionError, ZeroDivisionError]


async def test_caller_cancelled_while_waiting_is_in_no_batch() -> None:
    """Where nobody else waits, there is no batch at all."""
    desk = Desk()
    tasks = [await desk.ask(name, "a") for name in ("one", "two")]
    tasks[1].cancel()
    await desk.open(0)
    assert desk.batches == [["one"]]
    third = await desk.ask("three", "a")
    assert desk.batches == [["one"], ["three"]]
    await desk.open(1)
    assert (await tasks[0], await third) == ("ONE", "THREE")


async def test_cancelled_caller_in_front_lets_the_others_go_on() -> None:
    """Those who waited for its rows are decided without it."""
    desk = Desk()
    tasks = [await desk.ask(name, "a") for name in ("one", "two", "three")]
    tasks[0].cancel()
    await turns(3)
    assert desk.batches == [["one"], ["two", "three"]]
    await desk.open(1)
    assert [await task for task in tasks[1:]] == ["TWO", "THREE"]


async def test_cancelled_batch_cancels_its_callers() -> None:
    """At the end of the loop nobody is left waiting for a batch that will not be decided."""
    desk = Desk()
    before = asyncio.all_tasks()
    tasks = [await desk.ask(name, "a") for name in ("one", "two")]
    await desk.open(0)
    [batch] = asyncio.all_tasks() - before - set(tasks)
    batch.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str, asyncio.CancelledError]


async def test_batch_carries_no_context_of_a_request() -> None:
    """Its log lines would name a request that has nothing to do with it."""
    desk = Desk()
    REQUEST_ID.set("mine")
    tasks = [await desk.ask(name, "a") for name in ("one", "two")]
    await desk.open(0)
    await desk.open(1)
    await asyncio.gather(*tasks)
    assert desk.contexts == ["mine", "none"]


async def test_caller_cancelled_while_waiting_is_not_charged() -> None:
    """The rows hold those who stayed, and nobody else."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    tasks = [asyncio.create_task(throttle.admit([device()])) for _ in range(4)]
    await turns(1)
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert len(store.log("device-a")) == 3


async def test_caller_cancelled_between_two_tries_of_its_batch_is_not_charged() -> None:
    """The batch is decided again without it."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    tasks = [asyncio.create_task(throttle.admit([device()])) for _ in range(4)]
    lose = iter([False, True, False])

    async def lose_once_and_cancel() -> None:
        if next(lose):
            tasks[2].cancel()
            raise EntityChanged

    store.before_write = lose_once_and_cancel
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[2], asyncio.CancelledError)
    assert len(store.log("device-a")) == 3


async def test_caller_cancelled_after_the_write_stays_charged() -> None:
    """Its place was taken, and is not given to another."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    tasks = [asyncio.create_task(throttle.admit([device()])) for _ in range(3)]
    cancel = iter([0, 2])

    async def cancel_one() -> None:
        tasks[next(cancel)].cancel()

    store.after_write = cancel_one
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [True, False, True]
    assert len(store.log("device-a")) == 3


async def test_failing_store_reaches_everybody_who_waited() -> None:
    """All of a batch get the same answer: nobody knows."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    store.failing = StorageUnavailable("down")
    calls = [throttle.admit([device()]) for _ in range(20)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"down"}
    assert store.calls == 2


@pytest.mark.parametrize("others", [0, 5], ids=["alone", "with-others-waiting"])
async def test_loop_ends_without_anything_left_behind(others: int) -> None:
    """After the last answer no task of the limiter is left."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    limits = device().limits[1]
    await asyncio.gather(*(throttle.charge("device-a", limits, time.now + n) for n in range(1 + others)))
    await turns(2)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_request_with_more_rows_than_a_batch_goes_alone() -> None:
    """It does not wait for ever; what the store says to it is the store's matter."""
    desk = Desk()
    wide = [f"row-{number}" for number in range(MAX_ROWS + 1)]
    tasks = [await desk.ask("one", "row-0"), await desk.ask("wide", *wide)]
    await desk.open(0)
    assert desk.batches == [["one"], ["wide"]]
    await desk.open(1)
    await asyncio.gather(*tasks)
