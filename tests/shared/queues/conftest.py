"""The queues that the contract is held over, and a look into each."""

import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp.connector
import pytest

from shared.clock import system_clock
from shared.queues.azure_queue import QueueAccount, open_queue, queue_client
from shared.queues.memory import MemoryQueue
from shared.queues.port import MessageQueue
from tests.support.azurite import Azurite, StubCredential


@dataclass(frozen=True, slots=True)
class Opened:
    """A queue; `shown` answers the texts that show now, `count` all that are there."""

    queue: MessageQueue
    shown: Callable[[], Awaitable[list[str]]]
    count: Callable[[], Awaitable[int]]


@pytest.fixture
def name() -> str:
    """The name of a queue of this test's own."""
    return f"q{secrets.token_hex(6)}"


@pytest.fixture
def trusted(azurite_with_oauth: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process trust the emulator's authority.

    aiohttp reads `SSL_CERT_FILE` once, when it is imported: that was before the test began.
    """
    assert azurite_with_oauth.tls
    context: ssl.SSLContext = azurite_with_oauth.tls.client_context()
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)


@pytest.fixture(params=["memory", "connection-string", "oauth"])
async def opened(request: pytest.FixtureRequest, name: str) -> AsyncIterator[Opened]:
    """Each queue in turn, empty; in Azurite it is not even there."""
    if request.param == "memory":
        memory = MemoryQueue(system_clock)
        yield Opened(memory, lambda: _shown_in_memory(memory), lambda: _count_in_memory(memory))
        return
    emulator: Azurite = request.getfixturevalue(
        "azurite" if "string" in request.param else "azurite_with_oauth"
    )
    account: QueueAccount | str = emulator.connection_string
    if request.param == "oauth":
        request.getfixturevalue("trusted")
        account = QueueAccount(emulator.endpoint("queue"), StubCredential())
    queue = open_queue(account, name, create=True)
    yield Opened(queue, lambda: shown(account, name), lambda: count(account, name))
    await queue.aclose()


async def shown(account: QueueAccount | str, name: str) -> list[str]:
    """The texts that show in a queue of Azurite; they stay there."""
    async with queue_client(account, name) as client:
        return [message.content for message in await client.peek_messages(max_messages=32)]


async def count(account: QueueAccount | str, name: str) -> int:
    """How many messages are in a queue of Azurite, hidden ones included."""
    async with queue_client(account, name) as client:
        return int((await client.get_queue_properties()).approximate_message_count or 0)


async def _shown_in_memory(queue: MemoryQueue) -> list[str]:
    return [message.text for message in queue.messages if message.visible_at <= queue.clock()]


async def _count_in_memory(queue: MemoryQueue) -> int:
    return len(queue.messages)
