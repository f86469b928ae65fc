"""The contract of every queue: in memory, and in Azurite with a connection string and with an identity."""

import asyncio

import pytest

from shared.queues.message import CollectMessage, Reason
from shared.queues.port import MAX_DELAY_SECONDS
from tests.shared.queues.conftest import Opened

MESSAGE = CollectMessage("b12e033e-bda7-4b83-a211-e721c661f30e", Reason.SWEEP, traceparent="00-1-2-00")


@pytest.mark.parametrize(
    "text", [MESSAGE.to_text(), "", " ", "é 😀", "<a>&amp;</a>", "line\r\nbreak", "x" * 40_000]
)
async def test_text_comes_out_unchanged(opened: Opened, text: str) -> None:
    """A text without a delay is visible at once; the queue is created if it is missing."""
    await opened.queue.send(text, 0)

    assert await opened.shown() == [text]


@pytest.mark.parametrize("delay", [30, 3600.4, MAX_DELAY_SECONDS, 30 * 86_400])
async def test_delayed_message_is_hidden(opened: Opened, delay: float) -> None:
    """A delay that is longer than a queue allows is cut, not refused."""
    await opened.queue.send("later", delay)

    assert (await opened.shown(), await opened.count()) == ([], 1)


async def test_concurrent_first_messages_all_arrive(opened: Opened) -> None:
    """Senders that find the queue missing together all succeed; equal messages stay two."""
    await asyncio.gather(*(opened.queue.send(str(number % 4), 0) for number in range(8)))
    await opened.queue.check()

    assert sorted(await opened.shown()) == ["0", "0", "1", "1", "2", "2", "3", "3"]
