"""The sources of messages, for what the pump's own tests do not show."""

import secrets

import pytest

from local.queues import QueuePump, StorageSource
from tests.local.queues.conftest import Fed
from tests.local.queues.doubles import OPTIONS, QueueFunction
from tests.support.azurite import Azurite


async def test_receipt_that_is_not_valid_any_more_changes_nothing(fed: Fed) -> None:
    """A consumer whose lease has ended neither removes nor releases the message of another."""
    await fed.send("one", 0)
    [late] = await fed.source.take(1, 600)
    await fed.source.release(late, 0)
    [current] = await fed.source.take(1, 600)

    await fed.source.remove(late)
    await fed.source.release(late, 0)

    assert await fed.source.take(1, 600) == []
    await fed.source.release(current, 0)
    assert [message.dequeue_count for message in await fed.source.take(1, 600)] == [3]


async def test_content_that_is_not_base64_is_poison(
    azurite: Azurite, function: QueueFunction, caplog: pytest.LogCaptureFixture
) -> None:
    """A message without the encoding stops no other; it is kept unchanged."""
    name = f"q{secrets.token_hex(6)}"
    source = StorageSource(azurite.account, name)
    async with (
        azurite.account.queue_client(name, encoded=False) as queue,
        azurite.account.queue_client(f"{name}-poison", encoded=False) as poison,
    ):
        await queue.create_queue()
        await queue.send_message("{plain}")
        await queue.send_message("Z29vZA==")
        await QueuePump(source, function, OPTIONS).drain()
        kept = [message.content for message in await poison.peek_messages(max_messages=32)]
    await source.aclose()

    assert function.ended == ["good"]
    assert kept == ["{plain}"]
