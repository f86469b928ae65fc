"""A stage on which requests move only as a test directs: every call of a port waits for its turn, twice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from shared.errors import EventsUnavailable, Outcome, StorageUnavailable, UpstreamFailure, UpstreamTimeout
from shared.events.publisher import MemoryPublisher
from shared.face.model import CreatedSession, LivenessMode, SessionResult, SessionSpec
from shared.queues.memory import MemoryQueue
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, Table
from tests.support.fake_face import FakeFace

T = TypeVar("T")
Effect = Callable[[], Coroutine[Any, Any, Any]]
Turn = Literal["go on", "fail"]

ACTOR: ContextVar[int | None] = ContextVar("ACTOR", default=None)
"""The number of the request that a call belongs to; what an instance does for several has none."""


@dataclass(eq=False)
class Call:
    """A call of a port on its way: it has `arrived` once its effect is there and only the answer is to come."""

    name: str
    instance: "Instance"
    effect: Effect
    actor: int | None = field(default_factory=ACTOR.get)
    arrived: bool = False
    turn: asyncio.Future[Turn] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Stage:
    """The calls under way, oldest first, and what is `late`: effects that happen although their callers gave up."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.late: list[Effect] = []

    async def perform(self, call: Call, unsent: Exception, lost: Exception) -> Any:  # noqa: ANN401 - of any port.
        """Run a call as it is directed; raises `unsent` for one that fails before its effect, `lost` after it."""
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
        """Let a call have its effect; or its answer, where it had that."""
        call.turn.set_result("go on")

    def fail(self, call: Call, *, late: bool = False) -> None:
        """Let the caller be told that the call failed; `late`: one that has not arrived does so in the end."""
        if late and not call.arrived:
            self.late.append(call.effect)
        call.turn.set_result("fail")

    async def arrive(self, effect: Effect) -> None:
        """Let an effect happen that nobody waits for."""
        self.late.remove(effect)
        await _answer(effect)

    def crash(self, instance: "Instance", *, late: bool) -> None:
        """Let all that runs in an instance end where it is; `late`: what it has sent arrives in the end."""
        instance.alive = False
        for call in [call for call in self.calls if call.instance is instance]:
            if late and not call.arrived:
                self.late.append(call.effect)
            call.turn.cancel()


class Instance:
    """A process of the broker: what it calls through its ports waits on the stage."""

    def __init__(
        self,
        stage: Stage,
        store: MemoryStore,
        face: FakeFace,
        queue: MemoryQueue,
        publisher: MemoryPublisher,
    ) -> None:
        self.alive = True
        self.store = StagedStore(stage, self, store)
        self.face = StagedFace(stage, self, face)
        self.queue = StagedQueue(stage, self, queue)
        self.publisher = StagedPublisher(stage, self, publisher)


class StagedStore:
    """An `EntityStore` over another one; calls of the request path wait on the stage."""

    def __init__(self, stage: Stage, instance: Instance, store: MemoryStore) -> None:
        self._stage = stage
        self._instance = instance
        self._store = store

    async def get(self, table: Table, key: str) -> Entity | None:
        found: Entity | None = await self._perform("get", table, lambda: self._store.get(table, key))
        return found

    async def insert(self, table: Table, entity: Entity) -> Entity:
        stored: Entity = await self._perform("insert", table, lambda: self._store.insert(table, entity))
        return stored

    async def replace(self, table: Table, entity: Entity) -> Entity:
        stored: Entity = await self._perform("replace", table, lambda: self._store.replace(table, entity))
        return stored

    async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        stored: list[Entity] = await self._perform(
            "write", table, lambda: self._store.write_together(table, entities)
        )
        return stored

    async def delete(self, table: Table, key: str, etag: str | None = None) -> None:
        await self._perform("delete", table, lambda: self._store.delete(table, key, etag))

    async def delete_together(self, table: Table, entities: Sequence[Entity]) -> int:
        return await self._store.delete_together(table, entities)

    def expired(self, table: Table, before: int) -> AsyncIterator[Entity]:
        return self._store.expired(table, before)

    async def check(self) -> None:
        """Be there."""

    async def aclose(self) -> None:
        """Hold nothing."""

    async def _perform(self, name: str, table: Table, effect: Effect) -> Any:  # noqa: ANN401 - of any operation.
        call = Call(f"{name} {table.value}", self._instance, effect)
        return await self._stage.perform(call, StorageUnavailable("not sent"), StorageUnavailable("lost"))


class StagedQueue:
    """A `MessageQueue` over another one, whose calls wait on the stage."""

    def __init__(self, stage: Stage, instance: Instance, queue: MemoryQueue) -> None:
        self._stage = stage
        self._instance = instance
        self._queue = queue

    async def send(self, text: str, delay_seconds: float) -> None:
        call = Call("send", self._instance, lambda: self._queue.send(text, delay_seconds))
        await self._stage.perform(call, StorageUnavailable("not sent"), StorageUnavailable("lost"))

    async def check(self) -> None:
        """Be there."""

    async def aclose(self) -> None:
        """Hold nothing."""


class StagedPublisher:
    """A `Publisher` over another one, whose calls wait on the stage."""

    def __init__(self, stage: Stage, instance: Instance, publisher: MemoryPublisher) -> None:
        self._stage = stage
        self._instance = instance
        self._publisher = publisher

    async def publish(self, event: Mapping[str, Any]) -> None:
        call = Call("publish", self._instance, lambda: self._publisher.publish(event))
        await self._stage.perform(call, EventsUnavailable("not sent"), EventsUnavailable("lost"))

    async def aclose(self) -> None:
        """Hold nothing."""


class StagedFace:
    """A `Face` over the fake one, whose calls wait on the stage."""

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
        self, session_id: str, request_id: str, *, api_version: str | None = None
    ) -> SessionResult:
        result: SessionResult = await self._perform(
            "result", lambda: self._face.result(session_id, request_id, api_version=api_version)
        )
        return result

    async def delete(self, session_id: str, request_id: str, *, api_version: str | None = None) -> None:
        await self._perform(
            "delete", lambda: self._face.delete(session_id, request_id, api_version=api_version)
        )

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
