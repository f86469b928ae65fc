"""What a worker process is told to do, and what it and the test agree on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self

from create_session.use_case import CreateCommand
from shared.access import Caller
from shared.face.model import LivenessMode, SessionSpec
from shared.queues.port import MessageQueue
from tests.faults.deaths import Death

Task = Literal["collect", "create", "poll", "revoke"]

TOKEN_SECONDS = 60
REQUEST_ID = "00000000-0000-4000-8000-000000000000"

LEASE_SECONDS = 1
"""For how long a message is hidden from others that a worker took: after its death it takes that long."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker does, at which time (unix milliseconds), with which settings, and where it dies.

    To collect is to go on until the queue is empty. The other tasks are one request of a phone for one session;
    `subject` is then the device id, or the session id, and `secret` the idempotency key, or the auth token.
    """

    task: Task
    now: int
    settings: Mapping[str, str]
    death: Death | None = None
    subject: str = ""
    secret: str | None = None

    def to_text(self) -> str:
        """Write it as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read it."""
        fields = json.loads(text)
        death = fields.pop("death")
        return cls(**fields, death=Death(**death) if death else None)


class PromptQueue:
    """Has messages show at once: when they are due is not what these tests are about, and their clock is moved."""

    def __init__(self, queue: MessageQueue) -> None:
        self._queue = queue

    async def send(self, text: str, _delay_seconds: float) -> None:
        await self._queue.send(text, 0)

    async def check(self) -> None:
        await self._queue.check()

    async def aclose(self) -> None:
        await self._queue.aclose()


def command_of(device_id: str, idempotency_key: str | None) -> CreateCommand:
    """Make the create of a phone."""
    return CreateCommand(
        spec=SessionSpec(LivenessMode.PASSIVE, device_id, TOKEN_SECONDS),
        device_id=device_id,
        client_reference=None,
        caller=Caller(),
        idempotency_key=idempotency_key,
        fingerprint=device_id,
        request_id=REQUEST_ID,
    )
