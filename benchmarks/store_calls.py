"""The calls of the store and the queue that one request makes, counted over Azurite."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from benchmarks.load import table
from create_session.use_case import CreateCommand, Created, create_session
from get_result.use_case import ResultQuery, get_result
from local.azurite import running_azurite
from shared.access import Caller
from shared.app import App, build
from shared.errors import DeviceThrottled
from shared.face.model import LivenessDecision, LivenessMode, SessionResult, SessionSpec, SessionStatus
from shared.queues.port import RESULTS_QUEUE, MessageQueue
from shared.settings import Settings
from shared.storage.port import SearchableStore, Table
from tests.support.fake_face import FakeFace
from tests.support.intercepted import Call, Effect
from tests.support.queue import FakeQueue
from tests.support.store import FakeStore

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
_PASS = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, "digest")


@dataclass(frozen=True, slots=True)
class Counted:
    """Calls of the store, messages sent, and round trips: calls that overlap are one trip."""

    of_store: int
    messages: int
    store_trips: int
    trips: int


class Calls:
    """Runs the calls of a store and a queue, and notes when each began and ended."""

    def __init__(self) -> None:
        self._moments = count()
        self._noted: list[tuple[object, int, int]] = []

    async def __call__(self, call: Call, effect: Effect) -> object:
        """Run a call; the queue's has no table."""
        began = next(self._moments)
        try:
            return await effect()
        finally:
            self._noted.append((call.table, began, next(self._moments)))

    def clear(self) -> None:
        """Forget all calls."""
        self._noted.clear()

    def counted(self, *tables: Table) -> Counted:
        """Count the calls of these tables, or of all tables and the queue."""
        noted = [call for call in self._noted if not tables or call[0] in tables]
        of_store = [call for call in noted if call[0] is not None]
        return Counted(len(of_store), len(noted) - len(of_store), _in_sequence(of_store), _in_sequence(noted))


def _in_sequence(calls: Sequence[tuple[object, int, int]]) -> int:
    # The longest chain of calls, each begun after the one before had ended: calls are noted in the order of their ends.
    trips, free = 0, -1
    for _, began, ended in calls:
        if began > free:
            trips, free = trips + 1, ended
    return trips


class Bench:
    """`here` is the instance whose `calls` are counted; `elsewhere` is another one over the same store."""

    def __init__(self, store: SearchableStore, queue: MessageQueue) -> None:
        self.calls = Calls()
        self.face = FakeFace()
        counted_store, counted_queue = FakeStore(store), FakeQueue(queue)
        counted_store.around = counted_queue.around = self.calls
        self.here, self.elsewhere = [
            build(
                Settings.from_mapping(_SETTINGS), clock=lambda: _NOW, face=self.face, store=one, queue=other
            )
            for one, other in ((counted_store, counted_queue), (store, queue))
        ]


class Phone:
    """A device that nobody knows, with an address and an idempotency key of its own."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._device = f"device-{uuid.uuid4()}"
        self._address = f"address of {self._device}"
        self._session: Created | None = None

    async def create(self) -> None:
        """Create a session."""
        await self._create(self._bench.here)

    async def create_elsewhere(self) -> None:
        """Create a session by the other instance."""
        await self._create(self._bench.elsewhere)

    async def neighbour_creates_elsewhere(self) -> None:
        """Create a session for another device with the same address, by the other instance."""
        neighbour = Phone(self._bench)
        neighbour._address = self._address
        await neighbour.create_elsewhere()

    async def create_with_key(self) -> None:
        """Create a session with the idempotency key, the same each time."""
        await self._create(self._bench.here, f"key-of-{self._device}")

    async def use_up(self) -> None:
        """Create as many sessions as the device may."""
        for _ in range(DEVICE_LIMIT):
            await self.create()

    async def be_refused(self) -> None:
        """Create a session too many."""
        await _refused(self.create())

    async def be_refused_with_key(self) -> None:
        """Create a session too many, with an idempotency key."""
        await _refused(self.create_with_key())

    async def finish(self) -> None:
        """Finish the check at Face."""
        assert self._session
        self._bench.face.answer(self._session.session_id, _PASS)

    async def poll(self) -> None:
        """Ask for the result."""
        assert self._session
        query = ResultQuery(self._session.session_id, self._session.auth_token, Caller(), "benchmark")
        await get_result(self._bench.here, query)

    async def _create(self, app: App, key: str | None = None) -> None:
        command = CreateCommand(
            spec=SessionSpec(LivenessMode.PASSIVE, self._device, 600),
            device_id=self._device,
            client_reference=None,
            caller=Caller(network=self._address),
            idempotency_key=key,
            fingerprint=self._device,
            request_id="benchmark",
        )
        self._session = await create_session(app, command)


async def _refused(create: Awaitable[None]) -> None:
    try:
        await create
    except DeviceThrottled:
        return
    raise AssertionError("expected the create to be refused")


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
    "create: device known here, its address served elsewhere": (
        [Phone.create, Phone.neighbour_creates_elsewhere],
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


async def measure() -> str:
    """Count the calls of each kind of request over Azurite."""
    with running_azurite() as azurite:
        # Azurite answers 64 at a time in a tenth of a second; nothing here is about a store that fails.
        store = azurite.account.open_tables(deadline=10.0)
        queue = azurite.account.open_queue(RESULTS_QUEUE)
        bench = Bench(store, queue)
        try:
            rows = [_row(case, await count_calls(bench, case)) for case in CASES]
            everything, throttle = await count_herd(bench)
        finally:
            await store.aclose()
            await queue.aclose()
    herd = f"{HERD} creates of one device at once"
    head = ("calls of one request", "of the store", "of the queue", "trips to the store", "trips to both")
    return table(
        head,
        *rows,
        (herd, everything.of_store, everything.messages, "", ""),
        _row(f"{herd}, throttle rows", throttle),
    )


def _row(name: str, calls: Counted) -> tuple[str, int, int, int, int]:
    return name, calls.of_store, calls.messages, calls.store_trips, calls.trips
