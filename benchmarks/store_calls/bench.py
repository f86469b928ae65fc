"""Two instances of the app over one store and queue, the requests that are counted, and the counting."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeVar

from benchmarks.observed_store import ObservedStore
from create_session.use_case import CreateCommand, Created, create_session
from get_result.use_case import ResultQuery, get_result
from shared.access import Caller
from shared.app import App, build
from shared.errors import DeviceThrottled
from shared.face.model import (
    AuditEntry,
    AuditPage,
    CreatedSession,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionSpec,
    SessionStatus,
)
from shared.queues.port import MessageQueue
from shared.settings import Settings
from shared.storage.port import EntityStore, Table

T = TypeVar("T")

HERD: Final = 64
DEVICE_LIMIT: Final = 5

_SETTINGS = {
    "FACE_REGION": "westeurope",
    "FACE_KEY": "never-sent",
    "ID_PEPPER": "the-same-for-both-instances",
    "THROTTLE_DEVICE": f"{DEVICE_LIMIT}/10m",
}
# Time stands still: limits act the same in each run, however fast the store is.
_NOW = 1_800_000_000_000


@dataclass(frozen=True, slots=True)
class Counted:
    """Calls of the store, messages sent, and round trips: calls that overlap are one trip."""

    of_store: int
    messages: int
    store_trips: int
    trips: int


class Calls:
    """Goes around calls of a store and a queue, and notes when each began and ended."""

    def __init__(self) -> None:
        self._moments = count()
        self._noted: list[tuple[Table | None, int, int]] = []

    async def __call__(self, table: Table | None, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call of a table, or of the queue (None)."""
        began = next(self._moments)
        try:
            return await call()
        finally:
            self._noted.append((table, began, next(self._moments)))

    def clear(self) -> None:
        """Forget all calls."""
        self._noted.clear()

    def counted(self, *tables: Table) -> Counted:
        """Count the calls of these tables, or of all tables and the queue."""
        noted = [call for call in self._noted if not tables or call[0] in tables]
        of_store = [call for call in noted if call[0] is not None]
        return Counted(len(of_store), len(noted) - len(of_store), _in_sequence(of_store), _in_sequence(noted))


def _in_sequence(calls: Sequence[tuple[Table | None, int, int]]) -> int:
    # The longest chain of calls, each begun after the one before had ended: calls are noted in the order of their ends.
    trips, free = 0, -1
    for _, began, ended in calls:
        if began > free:
            trips, free = trips + 1, ended
    return trips


class ObservedQueue:
    """A `MessageQueue` that makes each call of another one through `Calls`."""

    def __init__(self, inner: MessageQueue, calls: Calls) -> None:
        self._inner = inner
        self._calls = calls

    async def send(self, text: str, delay_seconds: float) -> None:
        """Add a message that shows after a delay."""
        await self._calls(None, "", lambda: self._inner.send(text, delay_seconds))

    async def check(self) -> None:
        """Ask the queue for a sign of life; not counted."""
        await self._inner.check()

    async def aclose(self) -> None:
        """Close the other queue."""
        await self._inner.aclose()


class InstantFace:
    """A `Face` that takes no time. Sessions have no result before they are in `finished`."""

    modes: tuple[LivenessMode, ...] = (LivenessMode.PASSIVE,)
    can_send_results_to_client: bool = False
    api_version: str = "v1.1-preview.1"

    def __init__(self) -> None:
        self.finished: set[str] = set()

    def require_room(self) -> None:
        """Have room."""

    async def create(self, spec: SessionSpec, request_id: str) -> CreatedSession:
        """Make up a session."""
        return CreatedSession(str(uuid.uuid4()), f"token-{uuid.uuid4()}")

    async def result(
        self, session_id: str, request_id: str, *, api_version: str | None = None
    ) -> SessionResult:
        """Return a pass, or that nobody has started yet."""
        if session_id not in self.finished:
            return SessionResult(SessionStatus.NOT_STARTED)
        return SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, "digest")

    async def delete(self, session_id: str, request_id: str, *, api_version: str | None = None) -> None:
        """Do nothing."""

    async def audit(
        self, session_id: str, page: AuditPage, request_id: str, *, api_version: str | None = None
    ) -> tuple[AuditEntry, ...] | None:
        """Have no audit."""
        return None

    async def check(self, request_id: str) -> None:
        """Be there."""


class Bench:
    """`here` is the instance whose `calls` are counted; `elsewhere` is another one over the same store."""

    def __init__(self, store: EntityStore, queue: MessageQueue) -> None:
        self.calls = Calls()
        self.face = InstantFace()
        self._settings = Settings.from_mapping(_SETTINGS)
        self.here = self._app(ObservedStore(store, self.calls), ObservedQueue(queue, self.calls))
        self.elsewhere = self._app(store, queue)

    def _app(self, store: EntityStore, queue: MessageQueue) -> App:
        return build(self._settings, clock=lambda: _NOW, face=self.face, store=store, queue=queue)


class Phone:
    """A device that nobody knows, with an address and an idempotency key of its own."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._device = f"device-{uuid.uuid4()}"
        self._session: Created | None = None

    async def create(self) -> None:
        """Create a session."""
        await self._create(self._bench.here)

    async def create_elsewhere(self) -> None:
        """Create a session by the other instance."""
        await self._create(self._bench.elsewhere)

    async def create_with_key(self) -> None:
        """Create a session with the idempotency key, the same each time."""
        await self._create(self._bench.here, f"key-of-{self._device}")

    async def use_up(self) -> None:
        """Create as many sessions as the device may."""
        for _ in range(DEVICE_LIMIT):
            await self.create()

    async def be_refused(self) -> None:
        """Create a session too many."""
        await self._refused(None)

    async def be_refused_with_key(self) -> None:
        """Create a session too many, with an idempotency key."""
        await self._refused(f"key-of-{self._device}")

    async def finish(self) -> None:
        """Finish the check at Face."""
        self._bench.face.finished.add(self._created().session_id)

    async def poll(self) -> None:
        """Ask for the result."""
        session = self._created()
        query = ResultQuery(session.session_id, session.auth_token, Caller(), "benchmark")
        await get_result(self._bench.here, query)

    async def _create(self, app: App, key: str | None = None) -> None:
        command = CreateCommand(
            spec=SessionSpec(LivenessMode.PASSIVE, self._device, 600),
            device_id=self._device,
            client_reference=None,
            caller=Caller(network=f"address of {self._device}"),
            idempotency_key=key,
            fingerprint=self._device,
            request_id="benchmark",
        )
        self._session = await create_session(app, command)

    async def _refused(self, key: str | None) -> None:
        try:
            await self._create(self._bench.here, key)
        except DeviceThrottled:
            return
        raise AssertionError("expected the create to be refused")

    def _created(self) -> Created:
        assert self._session
        return self._session


Step = Callable[[Phone], Awaitable[None]]

CASES: Final[dict[str, tuple[Sequence[Step], Step]]] = {
    "create: device unknown": ([], Phone.create),
    "create: device unknown, idempotency key": ([], Phone.create_with_key),
    "create: device known here": ([Phone.create], Phone.create),
    "create: device known here, idempotency key": ([Phone.create], Phone.create_with_key),
    "create: device known here, then served elsewhere": (
        [Phone.create, Phone.create_elsewhere],
        Phone.create,
    ),
    "create: refused": ([Phone.use_up], Phone.be_refused),
    "create: refused again": ([Phone.use_up, Phone.be_refused], Phone.be_refused),
    "create: refused again, idempotency key": (
        [Phone.use_up, Phone.be_refused],
        Phone.be_refused_with_key,
    ),
    "create: replayed": ([Phone.create_with_key], Phone.create_with_key),
    "poll: no result yet": ([Phone.create], Phone.poll),
    "poll: sooner than the limit": ([Phone.create, Phone.poll], Phone.poll),
    "poll: finds the result": ([Phone.create, Phone.finish], Phone.poll),
    "poll: result known": ([Phone.create, Phone.finish, Phone.poll], Phone.poll),
}
"""For each kind of request, what comes before it, and the request itself."""


async def count_calls(bench: Bench, case: str) -> Counted:
    """Send one request of a kind, while nothing else goes on."""
    before, request = CASES[case]
    phone = Phone(bench)
    for step in before:
        await step(phone)
    bench.calls.clear()
    await request(phone)
    return bench.calls.counted()


async def count_herd(bench: Bench) -> tuple[Counted, Counted]:
    """Send many creates of one unknown device at once; count all calls, and those of throttle rows."""
    phone = Phone(bench)
    bench.calls.clear()
    answers = await asyncio.gather(*(phone.create() for _ in range(HERD)), return_exceptions=True)
    refused = sum(isinstance(answer, DeviceThrottled) for answer in answers)
    if refused != HERD - DEVICE_LIMIT:
        raise AssertionError(f"expected {DEVICE_LIMIT} to be admitted, and not {HERD - refused}")
    return bench.calls.counted(), bench.calls.counted(Table.THROTTLE)
