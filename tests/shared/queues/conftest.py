"""The queues that the contract tests run over."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from shared.queues.port import MemoryQueue, MessageQueue
from shared.storage.account import StorageAccount
from shared.text import system_clock
from tests.shared.storage.conftest import EACH_KIND, account_in
from tests.support.azurite import count_messages


@dataclass(frozen=True, slots=True)
class Opened:
    """A queue; `shown` returns the visible texts, `count` the number of all messages."""

    queue: MessageQueue
    shown: Callable[[], Awaitable[list[str]]]
    count: Callable[[], Awaitable[int]]


@pytest.fixture
def name() -> str:
    return f"q{secrets.token_hex(6)}"


@pytest.fixture(params=EACH_KIND)
async def opened(request: pytest.FixtureRequest, name: str) -> AsyncIterator[Opened]:
    """Each queue in turn, empty; in Azurite it does not exist yet."""
    if request.param == "memory":
        memory = MemoryQueue(system_clock)
        yield Opened(memory, lambda: _shown_in_memory(memory), lambda: _count_in_memory(memory))
        return
    account = account_in(request)
    queue = account.open_queue(name)
    yield Opened(queue, lambda: shown(account, name), lambda: count_messages(account, name))
    await queue.aclose()


async def shown(account: StorageAccount, name: str) -> list[str]:
    """The visible texts in a queue of Azurite; they stay there."""
    async with account.queue_client(name) as client:
        return [message.content for message in await client.peek_messages(max_messages=32)]


async def _shown_in_memory(queue: MemoryQueue) -> list[str]:
    return [message.text for message in queue.messages if message.visible_at <= queue.clock()]


async def _count_in_memory(queue: MemoryQueue) -> int:
    return len(queue.messages)
