"""Instances of the broker over one store and Face, each at its own step of a rotation of the pepper."""

from dataclasses import dataclass, field
from typing import Any, Final

from create_session.use_case import CreateCommand, Created, create_session
from get_result.use_case import ResultQuery, ResultState, get_result
from shared.access import OPERATE, Caller
from shared.app import App, build
from shared.face.model import LivenessDecision, SessionResult, SessionStatus
from shared.queues.port import MemoryQueue
from shared.settings import Settings
from shared.storage.port import EntityStore, MemoryStore
from tests.support.broker import environment
from tests.support.commands import create_command
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock

STEPS: Final = ("old", "old,new", "new,old", "new")
"""What the secret holds, from before the rotation to its end."""

ISSUER: Final = "https://issuer.example"
ANNA: Final = Caller(f"{ISSUER} anna", issuer=ISSUER)
BERT: Final = Caller(f"{ISSUER} bert", issuer=ISSUER)
SHOP: Final = Caller(f"{ISSUER} shop", issuer=ISSUER, roles=frozenset({OPERATE}))
HERE: Final = "192.0.2.1/32"

SPOOF: Final = SessionResult(
    SessionStatus.RESULT_AVAILABLE,
    1,
    LivenessDecision.SPOOFFACE,
    digest="B" * 64,
    decisions=((1, "spoofface"),),
)


@dataclass(frozen=True, slots=True)
class Given:
    """A session, and the command that asked for it."""

    created: Created
    command: CreateCommand


@dataclass
class Rotation:
    """What the instances share; without a `store`, the settings say which one it is."""

    settings: dict[str, str]
    clock: FakeClock = field(default_factory=FakeClock)
    store: EntityStore | None = field(default_factory=MemoryStore)
    face: FakeFace = field(default_factory=FakeFace)

    def __post_init__(self) -> None:
        self.queue = MemoryQueue(self.clock)

    def at(self, step: str) -> App:
        """Start an instance that knows this value of the secret."""
        return build(
            Settings.from_mapping(environment("http://127.0.0.1:9", ID_PEPPER=step, **self.settings)),
            clock=self.clock,
            face=self.face,
            store=self.store,
            queue=self.queue,
        )

    async def fail(self, app: App, given: Given) -> None:
        """Let the check of a session fail, and read its result at an instance."""
        self.face.answer(given.created.session_id, SPOOF)
        await read(app, given, given.command.caller)


def command_of(caller: Caller = ANNA, device: str = "a-device", **options: Any) -> CreateCommand:  # noqa: ANN401
    return create_command(device, caller, fingerprint="the same", **options)


async def give(app: App, command: CreateCommand) -> Given:
    return Given(await create_session(app, command), command)


async def read(app: App, given: Given, caller: Caller) -> ResultState:
    """Ask for the result of a session, with its token, as some caller."""
    created = given.created
    return await get_result(app, ResultQuery(created.session_id, created.auth_token, caller, "a-request"))
