"""What holds for every queue: in memory, and in Azurite with a connection string and with an identity."""

import asyncio

import pytest

from shared.queues.message import CollectMessage, Reason
from shared.queues.port import MAX_DELAY_SECONDS
from tests.shared.queues.conftest import Opened

MESSAGE = CollectMessage("b12e033e-bda7-4b83-a211-e721c661f30e", Reason.SWEEP, traceparent="00-1-2-00")


async def test_message_without_delay_shows_at_once(opened: Opened) -> None:
    """What is sent comes out as it was, the queue being made where it is missing."""
    await opened.queue.send(MESSAGE.to_text(), 0)

    assert [CollectMessage.from_text(text) for text in await opened.shown()] == [MESSAGE]


@pytest.mark.parametrize("text", ["", " ", "é 😀", "<a>&amp;</a>", "line\r\nbreak", "x" * 40_000])
async def test_text_of_any_kind_comes_out_as_it_was(opened: Opened, text: str) -> None:
    """Nothing of a text is lost on its way through XML."""
    await opened.queue.send(text, 0)

    assert await opened.shown() == [text]


@pytest.mark.parametrize("delay", [30, 3600.4, MAX_DELAY_SECONDS, 30 * 86_400])
async def test_delayed_message_is_there_and_does_not_show(opened: Opened, delay: float) -> None:
    """A delay beyond what a queue can do is cut, not refused."""
    await opened.queue.send("later", delay)

    assert (await opened.shown(), await opened.count()) == ([], 1)


async def test_delay_that_is_over_is_none(opened: Opened) -> None:
    """What should have been looked at before now is looked at now."""
    await opened.queue.send("late", -5)

    assert await opened.shown() == ["late"]


async def test_equal_messages_are_two(opened: Opened) -> None:
    """A queue does not know what its messages say."""
    await opened.queue.send("same", 0)
    await opened.queue.send("same", 0)

    assert await opened.shown() == ["same", "same"]


async def test_first_messages_at_once_all_arrive(opened: Opened) -> None:
    """Who finds the queue missing together with others does not fail."""
    await asyncio.gather(*(opened.queue.send(str(number), 0) for number in range(8)))

    assert sorted(await opened.shown()) == [str(number) for number in range(8)]


async def test_queue_that_is_there_passes_the_check(opened: Opened) -> None:
    """A sign of life is no failure."""
    await opened.queue.check()
