"""The queues under the pump, and the function that it calls."""

import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from local.queues import MemorySource, MessageSource, StorageSource
from shared.queues.memory import MemoryQueue
from tests.local.queues.doubles import QueueFunction
from tests.support.azurite import Azurite
from tests.support.time import FakeClock


@dataclass(frozen=True, slots=True)
class Fed:
    """A queue: its source, a way to send to it, and the content of its poison queue."""

    source: MessageSource
    send: Callable[[str, float], Awaitable[None]]
    poisoned: Callable[[], Awaitable[list[str]]]


@pytest.fixture
def function() -> QueueFunction:
    return QueueFunction()


@pytest.fixture(params=["memory", "azurite"])
async def fed(request: pytest.FixtureRequest) -> AsyncIterator[Fed]:
    """Each kind of queue in turn; in Azurite it does not exist yet."""
    if request.param == "memory":
        source = MemorySource(MemoryQueue(FakeClock()))
        yield Fed(source, source.queue.send, lambda: _texts(source))
        return
    emulator: Azurite = request.getfixturevalue("azurite")
    name = f"q{secrets.token_hex(6)}"
    queue = emulator.account.open_queue(name)
    stored = StorageSource(emulator.account, name)
    yield Fed(stored, queue.send, lambda: _peeked(emulator, f"{name}-poison"))
    await stored.aclose()
    await queue.aclose()


async def _texts(source: MemorySource) -> list[str]:
    return [message.text for message in source.poisoned.messages]


async def _peeked(emulator: Azurite, name: str) -> list[str]:
    async with emulator.account.queue_client(name, encoded=False) as client:
        return [
            base64.b64decode(message.content).decode()
            for message in await client.peek_messages(max_messages=32)
        ]
