"""A fake of the port to the upstream: sessions in memory, results and errors as the test says."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from shared.errors import UpstreamSessionGone
from shared.face.model import (
    BY_BROKER,
    AuditEntry,
    AuditPage,
    CreatedSession,
    LivenessMode,
    Reader,
    SessionResult,
    SessionSpec,
    SessionStatus,
)
from tests.support.intercepted import Around, Call

T = TypeVar("T")

Operation = Literal["create", "result", "delete", "check", "room"]


@dataclass
class FakeFace:
    """A `Face` that makes sessions with ids and tokens of its own, counted from 1.

    `calls` counts the calls by operation, failed ones too; `specs` holds what each session was created with, `deleted`
    which ones were deleted, `request_ids` what came along, `readers` who asked for results. A session is known only in
    the version of the API that it was made with. While `gate` is set to an event, every call sets `arrived` and waits
    for it. `around` runs each call; by default it awaits the effect.
    """

    api_version: str = "v1.1-preview.1"
    modes: tuple[LivenessMode, ...] = (LivenessMode.PASSIVE,)
    can_send_results_to_client: bool = True
    calls: Counter[Operation] = field(default_factory=Counter)
    specs: dict[str, SessionSpec] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    gate: asyncio.Event | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    around: Around | None = None
    rate: float = 1.0
    throttled_for: float = 0.0
    _made_with: dict[str, str] = field(default_factory=dict)
    _results: dict[str, SessionResult] = field(default_factory=dict)
    _failures: dict[Operation, deque[Exception]] = field(default_factory=dict)

    def fail(self, operation: Operation, *errors: Exception) -> None:
        """Let the next calls of an operation fail, one with each error; nothing is done by a call that fails."""
        self._failures.setdefault(operation, deque()).extend(errors)

    def answer(self, session_id: str, result: SessionResult) -> None:
        """From now on, this is the result of a session."""
        self._results[session_id] = result

    def forget(self, session_id: str) -> None:
        """From now on, there is no such session (any more)."""
        self._results.pop(session_id, None)

    def require_room(self) -> None:
        """Have room, unless the test says otherwise."""
        if failures := self._failures.get("room"):
            raise failures.popleft()

    async def create(self, spec: SessionSpec, request_id: str) -> CreatedSession:
        """Create a session that nobody has started yet."""

        async def effect() -> CreatedSession:
            number = len(self.specs) + 1
            created = CreatedSession(f"{number:08x}-fa4e-4000-8000-000000000000", f"auth-token-{number}")
            self.specs[created.session_id] = spec
            self._made_with[created.session_id] = self.api_version
            self.answer(created.session_id, SessionResult(SessionStatus.NOT_STARTED))
            return created

        return await self._called("create", request_id, effect)

    async def result(
        self, session_id: str, request_id: str, *, api_version: str | None = None, reader: Reader = BY_BROKER
    ) -> SessionResult:
        """Answer what the test said; raises `UpstreamSessionGone` for what was deleted or forgotten."""
        self.readers.append(reader)

        async def effect() -> SessionResult:
            if session_id not in self._results or not self._is_known(session_id, api_version):
                raise UpstreamSessionGone
            return self._results[session_id]

        return await self._called("result", request_id, effect, session_id)

    async def delete(
        self, session_id: str, request_id: str, *, api_version: str | None = None, follows: bool = False
    ) -> None:
        async def effect() -> None:
            if self._is_known(session_id, api_version):
                self.deleted.append(session_id)
                self.forget(session_id)

        await self._called("delete", request_id, effect, session_id)

    async def audit(
        self, session_id: str, page: AuditPage, request_id: str, *, api_version: str | None = None
    ) -> tuple[AuditEntry, ...] | None:
        """Have no audit."""
        return None

    async def check(self, request_id: str) -> None:
        async def effect() -> None:
            pass

        await self._called("check", request_id, effect)

    def _is_known(self, session_id: str, api_version: str | None) -> bool:
        spoken = api_version or self.api_version
        return self._made_with.get(session_id, spoken) == spoken

    async def _called(
        self, operation: Operation, request_id: str, effect: Callable[[], Awaitable[T]], *keys: str
    ) -> T:
        self.calls[operation] += 1
        self.request_ids.append(request_id)
        if self.gate:
            self.arrived.set()
            await self.gate.wait()
        if failures := self._failures.get(operation):
            raise failures.popleft()
        call = Call(operation, keys=keys)
        answer: T = await (self.around(call, effect) if self.around else effect())
        return answer
