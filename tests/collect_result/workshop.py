"""A collector with everything around it in memory, failing where a test says so."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from collect_result.use_case import collect_result
from create_session.use_case import CreateCommand, create_session
from shared.access import Caller
from shared.app import App, build
from shared.errors import StorageUnavailable
from shared.events.publisher import MemoryPublisher
from shared.face.model import (
    Failure,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionSpec,
    SessionStatus,
)
from shared.queues.memory import MemoryQueue
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import SessionRecord
from shared.sessions.store import Stored
from shared.settings import Settings
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, Table
from tests.support.broker import environment
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock

REAL = SessionResult(
    SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, digest="A" * 64, request_id="a-request"
)
SPOOF = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.SPOOFFACE, digest="B" * 64)
MASKED = SessionResult(
    SessionStatus.RESULT_AVAILABLE, 1, failure=Failure("FaceWithMaskDetected", "Mask detected on face image.")
)
STARTED = SessionResult(SessionStatus.STARTED)


class FailingPublisher(MemoryPublisher):
    """A publisher whose next calls raise what is in `failures`."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: deque[Exception] = deque()

    async def publish(self, event: Mapping[str, Any]) -> None:
        if self.failures:
            raise self.failures.popleft()
        await super().publish(event)


class FailingStore(MemoryStore):
    """A store that takes `calls_left` more calls and then is down; None: it stays up."""

    def __init__(self) -> None:
        super().__init__()
        self.calls_left: int | None = None

    async def get(self, table: Table, key: str) -> Entity | None:
        self._count()
        return await super().get(table, key)

    async def replace(self, table: Table, entity: Entity) -> Entity:
        self._count()
        return await super().replace(table, entity)

    def _count(self) -> None:
        if self.calls_left is None:
            return
        if self.calls_left == 0:
            raise StorageUnavailable("the store is down")
        self.calls_left -= 1


@dataclass(slots=True)
class FailingQueue(MemoryQueue):
    """A queue that can be down."""

    down: bool = False

    async def send(self, text: str, delay_seconds: float) -> None:
        if self.down:
            raise StorageUnavailable("the queue is down")
        # Not `super()`: a slotted dataclass is another class than the one that the compiler saw.
        await MemoryQueue.send(self, text, delay_seconds)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that is in the queue, and in how many seconds it shows."""

    message: CollectMessage
    seconds: float


@dataclass(slots=True)
class Workshop:
    """One session after another, and the collector that ends them."""

    settings: Mapping[str, str] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    face: FakeFace = field(default_factory=FakeFace)
    store: FailingStore = field(default_factory=FailingStore)
    publisher: FailingPublisher = field(default_factory=FailingPublisher)
    queue: FailingQueue = field(init=False)
    app: App = field(init=False)

    def __post_init__(self) -> None:
        self.queue = FailingQueue(self.clock)
        self.app = self.renamed("westeurope")

    def renamed(self, region: str) -> App:
        """The app, in a region of this name."""
        mapping = environment("http://127.0.0.1:9", BROKER_REGION=region, **self.settings)
        return build(
            Settings.from_mapping(mapping),
            clock=self.clock,
            face=self.face,
            store=self.store,
            queue=self.queue,
            publisher=self.publisher,
        )

    async def created(self, device: str = "a-phone", lifetime: int = 600) -> str:
        """Create a session; its sweep message is put aside, for the test to say when the collector runs."""
        command = CreateCommand(
            spec=SessionSpec(LivenessMode.PASSIVE, device, lifetime),
            device_id=device,
            client_reference="order:4711",
            caller=Caller(principal="somebody"),
            idempotency_key=None,
            fingerprint="",
            request_id="a-request",
        )
        created = await create_session(self.app, command)
        self.queue.messages.clear()
        return created.session_id

    async def collect(
        self, session_id: str, attempt: int = 0, reason: Reason = Reason.SWEEP, looks: int = 0
    ) -> None:
        """Hand the collector a message."""
        await collect_result(self.app, CollectMessage(session_id, reason, attempt, looks=looks))

    async def run_queue(self) -> None:
        """Hand the collector one message after another, each when it shows, until there is none."""
        while self.queue.messages:
            self.clock.now = max(self.clock.now, min(message.visible_at for message in self.queue.messages))
            message = self.queue.take(600)
            assert message is not None
            await collect_result(self.app, CollectMessage.from_text(message.text))
            self.queue.finish(message)

    def waiting(self) -> list[Waiting]:
        """The messages in the queue."""
        return [
            Waiting(CollectMessage.from_text(message.text), (message.visible_at - self.clock()) / 1000)
            for message in self.queue.messages
        ]

    async def stored(self, session_id: str) -> Stored:
        """The session's record as it is stored."""
        stored = await self.app.sessions.get(session_id)
        assert stored is not None
        return stored

    async def record(self, session_id: str) -> SessionRecord:
        """The session's record."""
        return (await self.stored(session_id)).record

    async def change(self, session_id: str, change: Callable[[SessionRecord], SessionRecord]) -> None:
        """Change the session's record, as another function of the broker does."""
        await self.app.sessions.change(await self.stored(session_id), change)
