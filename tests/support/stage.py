"""A stage on which requests move only as a test directs: each call of a port waits twice."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal

from shared.errors import EventsUnavailable, Outcome, StorageUnavailable, UpstreamFailure, UpstreamTimeout
from shared.events.publisher import MemoryPublisher
from shared.queues.port import MemoryQueue
from shared.storage.port import MemoryStore, Table
from tests.support.fake_face import FakeFace
from tests.support.intercepted import Around, Effect
from tests.support.intercepted import Call as PortCall
from tests.support.publisher import FakePublisher
from tests.support.queue import FakeQueue
from tests.support.store import FakeStore

Turn = Literal["go on", "fail"]
Failure = Callable[[str], Exception]

_STAGED: Final = {
    "get",
    "insert",
    "replace",
    "write_together",
    "delete",
    "send",
    "publish",
    "create",
    "result",
}
"""The calls of a request; sweeps and signs of life do not wait."""

ACTOR: ContextVar[int | None] = ContextVar("ACTOR", default=None)
"""The number of the request that a call belongs to."""


@dataclass(eq=False)
class Call:
    """A call of a port that is under way: it has `arrived` once it had its effect, and only its answer is to come."""

    name: str
    instance: "Process"
    effect: Effect
    actor: int | None = field(default_factory=ACTOR.get)
    arrived: bool = False
    turn: asyncio.Future[Turn] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Stage:
    """The calls under way, oldest first. `late` are effects that can still happen although their callers gave up."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.late: list[Effect] = []

    async def perform(self, call: Call, unsent: Exception, lost: Exception) -> Any:  # noqa: ANN401 - of any port.
        """Run a call as the test directs; raises `unsent` where it fails before its effect, `lost` after it."""
        if not call.instance.alive:
            raise asyncio.CancelledError
        self.calls.append(call)
        try:
            if await call.turn == "fail":
                raise unsent
            answer = await _answer(call.effect)
            call.arrived, call.turn = True, asyncio.get_running_loop().create_future()
            if await call.turn == "fail":
                raise lost
        finally:
            self.calls.remove(call)
        if isinstance(answer, Outcome):
            raise answer
        return answer

    def go_on(self, call: Call) -> None:
        """Let a call have its effect, or its answer where it had its effect."""
        call.turn.set_result("go on")

    def fail(self, call: Call, *, late: bool = False) -> None:
        """Let a call fail. With `late` its effect can still happen, if it has not arrived."""
        if late and not call.arrived:
            self.late.append(call.effect)
        call.turn.set_result("fail")

    async def arrive(self, effect: Effect) -> None:
        self.late.remove(effect)
        await _answer(effect)

    def crash(self, instance: "Process", *, late: bool) -> None:
        """End all calls of an instance. With `late` their effects can still happen."""
        instance.alive = False
        for call in [call for call in self.calls if call.instance is instance]:
            if late and not call.arrived:
                self.late.append(call.effect)
            call.turn.cancel()


class Process:
    """Who calls on the stage, until it ends."""

    def __init__(self) -> None:
        self.alive = True


class Instance(Process):
    """A process of the broker: the calls of its ports wait on the stage."""

    def __init__(
        self, stage: Stage, store: MemoryStore, face: FakeFace, queue: MemoryQueue, publisher: MemoryPublisher
    ) -> None:
        super().__init__()
        self.store, self.queue, self.publisher = FakeStore(store), FakeQueue(queue), FakePublisher(publisher)
        self.store.around = self.queue.around = self._around(stage, StorageUnavailable, StorageUnavailable)
        self.publisher.around = self._around(stage, EventsUnavailable, EventsUnavailable)
        unsent = partial(UpstreamFailure, request_sent=False)
        # A copy that has its sessions in common with the other instances.
        self.face = replace(face, around=self._around(stage, unsent, UpstreamTimeout))

    def _around(self, stage: Stage, unsent: Failure, lost: Failure) -> Around:
        async def around(call: PortCall, effect: Effect) -> Any:  # noqa: ANN401 - of any port.
            if call.operation not in _STAGED:
                return await effect()
            name = f"{call.operation} {call.table.value}" if isinstance(call.table, Table) else call.operation
            return await stage.perform(Call(name, self, effect), unsent("not sent"), lost("lost"))

        return around


async def _answer(effect: Effect) -> Any:  # noqa: ANN401 - of any operation.
    try:
        return await effect()
    except Outcome as outcome:
        return outcome
