"""Who may work on which rows: side by side where no row is shared, else together in one batch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any, Final, Generic, TypeVar

from shared.errors import StorageUnavailable
from shared.throttle.decision import Request

MAX_ROWS: Final = 90
"""How many rows a batch has at most: one write of the store takes 100."""

T = TypeVar("T")


class Call(Generic[T]):
    """One caller's request on its way to an outcome; `waiter` is what the caller waits on, if it has to."""

    __slots__ = ("outcome", "request", "waiter")

    outcome: T

    def __init__(self, request: Request[T], waiter: asyncio.Future[T] | None = None) -> None:
        self.request = request
        self.waiter = waiter

    @property
    def abandoned(self) -> bool:
        """Whether the caller was cancelled while it waited."""
        return self.waiter is not None and self.waiter.done()


Settle = Callable[[Sequence[Call[Any]]], Awaitable[None]]
"""Gives each call that is not abandoned its outcome, in order, or raises for all of them."""


class Coalescer:
    """Runs requests so that each row is in one pair of hands at a time within this instance.

    A request whose rows are free runs at once, in its caller's own task. One that needs a row in use, or a
    row that an earlier one waits for, waits. When rows come free, all whose rows are free by then go on as
    one batch, in order of arrival. A caller that is cancelled before its batch is decided leaves it; after
    that its charge stays.
    """

    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self._busy: set[str] = set()
        self._waiting: list[Call[Any]] = []
        self._awaited: set[str] = set()
        self._batches: set[asyncio.Task[None]] = set()

    async def submit(self, request: Request[T]) -> T:
        """Have a request decided; raises what the store raised for it, or for its batch."""
        if not (self._busy.isdisjoint(request.keys) and self._awaited.isdisjoint(request.keys)):
            return await self._wait(request)
        call = Call(request)
        self._busy.update(request.keys)
        try:
            await self._settle((call,))
        finally:
            self._release(request.keys)
        return call.outcome

    async def _wait(self, request: Request[T]) -> T:
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(Call(request, waiter))
        self._awaited.update(request.keys)
        return await waiter

    def _release(self, keys: Sequence[str] | set[str]) -> None:
        self._busy.difference_update(keys)
        while self._waiting and (batch := self._gather()):
            # A batch is nobody's own: it must not carry the log context of whoever happened to end before it.
            task = asyncio.get_running_loop().create_task(self._run(batch), context=Context())
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)

    def _gather(self) -> list[Call[Any]]:
        batch: list[Call[Any]] = []
        rows: set[str] = set()
        rest: list[Call[Any]] = []
        kept: set[str] = set()
        for call in self._waiting:
            if call.abandoned:
                continue
            keys = call.request.keys
            free = self._busy.isdisjoint(keys) and kept.isdisjoint(keys)
            if free and (not batch or len(rows.union(keys)) <= MAX_ROWS):
                batch.append(call)
                rows.update(keys)
            else:
                rest.append(call)
                kept.update(keys)
        self._waiting, self._awaited = rest, kept
        self._busy |= rows
        return batch

    async def _run(self, batch: Sequence[Call[Any]]) -> None:
        try:
            await self._settle(batch)
        except Exception as error:
            _fail(batch, error)
        else:
            _finish(batch)
        finally:
            for call in batch:
                if call.waiter is not None:
                    call.waiter.cancel()
            self._release({key for call in batch for key in call.request.keys})


def _finish(batch: Sequence[Call[Any]]) -> None:
    for call in batch:
        if call.waiter is not None and not call.waiter.done():
            call.waiter.set_result(call.outcome)


def _fail(batch: Sequence[Call[Any]], error: Exception) -> None:
    for call in batch:
        if call.waiter is not None and not call.waiter.done():
            call.waiter.set_exception(_for_one_caller(error))


def _for_one_caller(error: Exception) -> Exception:
    if not isinstance(error, StorageUnavailable):
        return error
    own = StorageUnavailable(error.detail, retry_after=error.retry_after)
    own.__cause__ = error
    return own
