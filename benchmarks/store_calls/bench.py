"""Two instances of the app over one store and queue, with a Face that answers at once."""

import uuid
from dataclasses import dataclass, field

from benchmarks.observed_store import ObservedStore
from benchmarks.store_calls.trips import ObservedQueue, Trips
from create_session.use_case import CreateCommand, Created, create_session
from get_result.use_case import ResultQuery, ResultState, get_result
from shared.access import Caller
from shared.app import App, build
from shared.face.model import (
    CreatedSession,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionSpec,
    SessionStatus,
)
from shared.queues.port import MessageQueue
from shared.settings import Settings
from shared.storage.port import EntityStore
from shared.throttle.limiter import Subject

_SETTINGS = {"FACE_REGION": "westeurope", "FACE_KEY": "none-is-called", "ID_PEPPER": "one-for-both-instances"}
# Time stands still: what is limited by time is the same in each run, however fast the store is.
_NOW = 1_800_000_000_000


@dataclass(slots=True)
class InstantFace:
    """A `Face` that takes no time; sessions have no result before they are in `finished`."""

    finished: set[str] = field(default_factory=set)
    modes: tuple[LivenessMode, ...] = (LivenessMode.PASSIVE,)
    can_send_results_to_client: bool = False
    api_version: str = "v1.1-preview.1"

    def require_room(self) -> None:
        """Have room."""

    async def create(self, spec: SessionSpec, request_id: str) -> CreatedSession:
        """Make up a session."""
        return CreatedSession(str(uuid.uuid4()), f"token-{uuid.uuid4()}")

    async def result(
        self, session_id: str, request_id: str, *, api_version: str | None = None
    ) -> SessionResult:
        """Answer a pass, or that nobody has started yet."""
        if session_id not in self.finished:
            return SessionResult(SessionStatus.NOT_STARTED)
        return SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, "digest")

    async def delete(self, session_id: str, request_id: str, *, api_version: str | None = None) -> None:
        """Do nothing."""

    async def check(self, request_id: str) -> None:
        """Be there."""


@dataclass(frozen=True, slots=True)
class Bench:
    """`here` is the instance that is measured, by `trips`; `elsewhere` is another one over the same store."""

    store: EntityStore
    trips: Trips
    face: InstantFace
    here: App
    elsewhere: App

    @classmethod
    def over(cls, store: EntityStore, queue: MessageQueue) -> "Bench":
        """Build both instances; store and queue stay the caller's to close."""
        settings, face, trips = Settings.from_mapping(_SETTINGS), InstantFace(), Trips()

        def app(store: EntityStore, queue: MessageQueue) -> App:
            return build(settings, clock=lambda: _NOW, face=face, store=store, queue=queue)

        here = app(ObservedStore(store, trips), ObservedQueue(queue, trips))
        return cls(store, trips, face, here, app(store, queue))

    def device(self) -> str:
        """A device that nobody has seen."""
        return f"device-{uuid.uuid4()}"

    async def create(self, app: App, device: str, key: str | None = None) -> Created:
        """Create a session for a device that has an address of its own."""
        command = CreateCommand(
            spec=SessionSpec(LivenessMode.PASSIVE, device, 600),
            device_id=device,
            client_reference=None,
            caller=_caller(device),
            idempotency_key=key,
            fingerprint=device,
            request_id="benchmark",
        )
        return await create_session(app, command)

    async def poll(self, session: Created) -> ResultState:
        """Ask for the result, as who was given the session."""
        query = ResultQuery(session.session_id, session.auth_token, Caller(), "benchmark")
        return await get_result(self.here, query)

    async def use_up(self, device: str) -> None:
        """Spend what a device may ask for, so that its next create is refused."""
        subjects = await self.subjects(device)
        for _ in range(5):
            await self.here.limiter.admit(subjects)

    async def subjects(self, device: str) -> list[Subject]:
        """What a create of this device counts against."""
        pseudonym = await self.here.pseudonyms.of("device", device)
        return await self.here.subjects.of_create(
            pseudonym, _caller(device).principal, _caller(device).network
        )


def _caller(device: str) -> Caller:
    return Caller(network=f"address of {device}")
