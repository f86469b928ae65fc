"""A collector over the doubles of store, queue, Face and publisher."""

from collections.abc import Callable
from dataclasses import replace

from collect_result.use_case import collect_result
from create_session.use_case import create_session
from get_result.use_case import ResultQuery, ResultState, get_result
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.app import build
from shared.face.model import Failure, LivenessDecision, SessionResult, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.queues.port import MemoryQueue, QueuedMessage
from shared.sessions.record import SessionRecord
from shared.settings import Settings
from tests.support.broker import environment
from tests.support.commands import create_command
from tests.support.fake_face import FakeFace
from tests.support.publisher import FakePublisher
from tests.support.queue import FakeQueue
from tests.support.store import FakeStore
from tests.support.time import FakeClock

REAL = SessionResult(
    SessionStatus.RESULT_AVAILABLE,
    1,
    LivenessDecision.REALFACE,
    digest="A" * 64,
    request_id="a-request",
    decisions=((1, "realface"),),
)
SPOOF = SessionResult(
    SessionStatus.RESULT_AVAILABLE,
    1,
    LivenessDecision.SPOOFFACE,
    digest="B" * 64,
    decisions=((1, "spoofface"),),
)
MASKED = SessionResult(
    SessionStatus.RESULT_AVAILABLE, 1, failure=Failure("FaceWithMaskDetected", "Mask detected on face image.")
)
MASKED_AFTER_SPOOF = replace(MASKED, attempts=2, decisions=((1, "spoofface"),), may_retry=True)
"""An attempt that failed after one that decided; the phone may try again."""
STARTED = SessionResult(SessionStatus.STARTED)

PHONE = Caller(principal="somebody")
TOKEN = "auth-token-1"
"""The token of the first session."""


class Workshop:
    """Sessions, and the collector that ends them."""

    def __init__(self, **settings: str) -> None:
        self.clock = FakeClock()
        self.face = FakeFace()
        self.store = FakeStore()
        self.publisher = FakePublisher()
        self.memory_queue = MemoryQueue(self.clock)
        self.queue = FakeQueue(self.memory_queue)
        self.app = build(
            Settings.from_mapping(environment("http://127.0.0.1:9", BROKER_REGION="westeurope", **settings)),
            clock=self.clock,
            face=self.face,
            store=self.store,
            queue=self.queue,
            publisher=self.publisher,
        )

    async def created(
        self, result: SessionResult | None = None, device: str = "a-phone", lifetime: int = 600
    ) -> str:
        """Create a session with this result at Face, and drop its message: the test says when to collect."""
        command = create_command(device, PHONE, reference="order:4711", lifetime=lifetime)
        session_id = (await create_session(self.app, command)).session_id
        self.messages.clear()
        if result:
            self.face.answer(session_id, result)
        return session_id

    async def poll(self, session_id: str, digest: str | None = None) -> ResultState:
        """Ask for the result, as the phone that created the first session."""
        return await get_result(self.app, ResultQuery(session_id, TOKEN, PHONE, "a-request", digest))

    async def revoke(self, session_id: str) -> None:
        """Revoke the first session, as its phone."""
        await revoke_session(self.app, session_id, TOKEN, PHONE, "a-request")

    async def record(self, session_id: str) -> SessionRecord:
        """The record as it is stored."""
        return (await self.app.sessions.reload(session_id)).record

    async def collect(
        self, session_id: str, attempt: int = 0, reason: Reason = Reason.SWEEP, looks: int = 0
    ) -> None:
        """Hand the collector a message."""
        await collect_result(self.app, CollectMessage(session_id, reason, attempt, looks=looks))

    async def run_queue(self) -> None:
        """Hand the collector each message when it is due, until none is left."""
        while self.messages:
            self.clock.now = max(self.clock.now, min(message.visible_at for message in self.messages))
            message = self.memory_queue.take(600)
            assert message is not None
            await collect_result(self.app, CollectMessage.from_text(message.text))
            self.memory_queue.finish(message)

    @property
    def messages(self) -> list[QueuedMessage]:
        """The messages in the queue."""
        return self.memory_queue.messages

    @property
    def waiting(self) -> list[CollectMessage]:
        """What the messages in the queue say."""
        return [CollectMessage.from_text(message.text) for message in self.messages]

    @property
    def delays(self) -> list[float]:
        """In how many seconds the messages in the queue are due."""
        return [(message.visible_at - self.clock()) / 1000 for message in self.messages]

    @property
    def published(self) -> list[str]:
        """The types of the published events."""
        return [event["type"] for event in self.publisher.events]

    async def change(self, session_id: str, change: Callable[[SessionRecord], SessionRecord]) -> None:
        """Change a record, as another function of the broker does."""
        await self.app.sessions.change(await self.app.sessions.reload(session_id), change)

    async def noted(self, session_id: str) -> tuple[float | None, str | None, int]:
        """What the record says of the collector: seconds until its next look, its last error, failures in a row."""
        record = await self.record(session_id)
        at = record.next_look_at
        return at and (at - self.clock()) / 1000, record.last_error, record.failed_looks
