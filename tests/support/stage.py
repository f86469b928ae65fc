"""A stage on which requests move only as a test directs: each call of a port waits twice."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from shared.errors import EventsUnavailable, Outcome, StorageUnavailable, UpstreamFailure, UpstreamTimeout
from shared.events.publisher import MemoryPublisher
from shared.face.model import (
    BY_BROKER,
    AuditEntry,
    AuditPage,
    CreatedSession,
    LivenessMode,
    Reader,
    SessionResult,
    SessionSpec,
)
from shared.queues.memory import MemoryQueue
from shared.storage.memory import MemoryStore
from shared.storage.port import Table
from tests.support.fake_face import FakeFace
from tests.support.intercepted import Around, Effect
from tests.support.intercepted import Call as PortCall
from tests.support.publisher import FakePublisher
from tests.support.queue import FakeQueue
from tests.support.store import FakeStore

Turn = Literal["go on", "fail"]

_STAGED: Final = {"get", "insert", "replace", "write_together", "delete", "send", "publish"}
"""The calls of a request; sweeps and signs of life do not wait."""

ACTOR: ContextVar[int | None] = ContextVar("ACTOR", default=None)
"""The number of the request that a call belongs to."""


@dataclass(eq=False)
class Call:
    """A call of a port that is under way: it has `arrived` once it had its effect, and only its answer is to come."""

    name: str
    instance: "Instance"
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
        """Let a late effect happen."""
        self.late.remove(effect)
        await _answer(effect)

    def crash(self, instance: "Instance", *, late: bool) -> None:
        """End all calls of an instance. With `late` their effects can still happen."""
        instance.alive = False
        for call in [call for call in self.calls if call.instance is instance]:
            if late and not call.arrived:
                self.late.append(call.effect)
            call.turn.cancel()


class Instance:
    """A process of the broker: the calls of its ports wait on the stage."""

    def __init__(
        self,
        stage: Stage,
        store: MemoryStore,
        face: FakeFace,
        queue: MemoryQueue,
        publisher: MemoryPublisher,
    ) -> None:
        self.alive = True
        self.store, self.queue, self.publisher = FakeStore(store), FakeQueue(queue), FakePublisher(publisher)
        self.face = StagedFace(stage, self, face)
        self.store.around = self.queue.around = self._around(stage, StorageUnavailable)
        self.publisher.around = self._around(stage, EventsUnavailable)

    def _around(self, stage: Stage, failure: type[StorageUnavailable] | type[EventsUnavailable]) -> Around:
        async def around(call: PortCall, effect: Effect) -> Any:  # noqa: ANN401 - of any port.
            if call.operation not in _STAGED:
                return await effect()
            name = f"{call.operation} {call.table.value}" if isinstance(call.table, Table) else call.operation
            return await stage.perform(Call(name, self, effect), failure("not sent"), failure("lost"))

        return around


class StagedFace:
    """A `Face` over the fake one; its calls wait on the stage."""

    api_version: Final = "v1.1-preview.1"
    modes: Final = (LivenessMode.PASSIVE,)
    can_send_results_to_client: Final = True

    def __init__(self, stage: Stage, instance: Instance, face: FakeFace) -> None:
        self._stage = stage
        self._instance = instance
        self._face = face

    def require_room(self) -> None:
        """Have room."""

    async def create(self, spec: SessionSpec, request_id: str) -> CreatedSession:
        made: CreatedSession = await self._perform("create", lambda: self._face.create(spec, request_id))
        return made

    async def result(
        self, session_id: str, request_id: str, *, api_version: str | None = None, reader: Reader = BY_BROKER
    ) -> SessionResult:
        result: SessionResult = await self._perform(
            "result",
            lambda: self._face.result(session_id, request_id, api_version=api_version, reader=reader),
        )
        return result

    async def delete(
        self, session_id: str, request_id: str, *, api_version: str | None = None, follows: bool = False
    ) -> None:
        await self._perform(
            "delete", lambda: self._face.delete(session_id, request_id, api_version=api_version)
        )

    async def audit(
        self, session_id: str, page: AuditPage, request_id: str, *, api_version: str | None = None
    ) -> tuple[AuditEntry, ...] | None:
        """Have no audit."""
        return None

    async def check(self, request_id: str) -> None:
        """Be there."""

    async def _perform(self, name: str, effect: Effect) -> Any:  # noqa: ANN401 - of any operation.
        unsent = UpstreamFailure("not sent", request_sent=False)
        return await self._stage.perform(Call(name, self._instance, effect), unsent, UpstreamTimeout("lost"))


async def _answer(effect: Effect) -> Any:  # noqa: ANN401 - of any operation.
    try:
        return await effect()
    except Outcome as outcome:
        return outcome
