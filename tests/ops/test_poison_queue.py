"""The poison queue in Azure Queue Storage, over Azurite."""

import base64
import secrets
from collections.abc import AsyncIterator

import pytest
from azure.storage.queue.aio import QueueClient

from ops.output import CommandFailed
from ops.poison_queue import PoisonMessage, PoisonQueue
from shared.queues.message import id_of_text
from tests.ops.shell import collect_message
from tests.support.azurite import Azurite


@pytest.fixture
async def client(azurite: Azurite) -> AsyncIterator[QueueClient]:
    """The client of a queue that does not exist yet, which leaves texts as they are."""
    name = f"q{secrets.token_hex(6)}"
    async with QueueClient.from_connection_string(azurite.connection_string, name) as opened:
        yield opened


async def fill(client: QueueClient, count: int) -> list[str]:
    """Create the queue and put messages there as the host does; returns their ids."""
    await client.create_queue()
    texts = [collect_message() for _ in range(count)]
    for text in texts:
        await client.send_message(base64.b64encode(text.encode()).decode())
    return [id_of_text(text) for text in texts]


async def visible(client: QueueClient) -> list[str]:
    return sorted(message.message_id for message in await PoisonQueue(client).peek())


async def test_queue_that_does_not_exist_is_empty(client: QueueClient) -> None:
    """The host creates it with the first message."""
    queue, taken = PoisonQueue(client), []

    async def take(message: PoisonMessage) -> bool:
        taken.append(message)
        return True

    await queue.take_each(take)

    assert (await queue.count(), taken) == (0, [])


async def test_peek_shows_messages_as_they_lie_there(client: QueueClient) -> None:
    """A text that is not base64 does not hide the others, and no message is taken."""
    [good] = await fill(client, 1)
    await client.send_message("not base64!")
    bad = id_of_text("not base64!")
    queue = PoisonQueue(client)

    found = await queue.peek()

    assert [(one.message_id, one.content is None) for one in found] == [(good, False), (bad, True)]
    assert (found[1].text, found[0].inserted_at > 1_700_000_000_000) == ("not base64!", True)
    assert await queue.count() == 2


async def test_each_message_is_taken_once(client: QueueClient) -> None:
    """Those that stay are visible again at once. The list of all goes beyond one look."""
    ids = await fill(client, 40)
    assert sorted(one.message_id for one in await PoisonQueue(client).take_all()) == sorted(ids)
    taken = []

    async def take(message: PoisonMessage) -> bool:
        taken.append(message.message_id)
        return message.message_id not in ids[:2]

    await PoisonQueue(client).take_each(take)

    assert sorted(taken) == sorted(ids)
    assert await visible(client) == sorted(ids[:2])


@pytest.mark.parametrize(
    ("lost", "error", "left"), [(False, "a reason", 3), (True, "another operator took message", 0)]
)
async def test_failure_shows_the_messages_again(
    client: QueueClient, lost: bool, error: str, left: int
) -> None:
    """The operator need not wait for five minutes to try again. A message that somebody else took is named."""
    ids = await fill(client, 3)

    async def handle(message: PoisonMessage) -> bool:
        if not lost:
            raise CommandFailed("a reason")
        await client.clear_messages()
        return True

    with pytest.raises(CommandFailed, match=error):
        await PoisonQueue(client).take_each(handle)

    assert await visible(client) == sorted(ids[:left])
