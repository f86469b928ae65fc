"""The poison queue in Azure Queue Storage, over Azurite, with a key and with a login."""

import base64
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from azure.storage.queue.aio import QueueClient

from ops.credentials import OperatorCredential
from ops.output import CommandFailed
from ops.poison_queue import PoisonMessage, PoisonQueue
from tests.ops.shell import collect_message
from tests.support.azurite import Azurite, StubCredential


@pytest.fixture(params=["key", "login"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[QueueClient]:
    """The client of a queue that does not exist yet, which leaves texts as they are."""
    name = f"q{secrets.token_hex(6)}"
    if request.param == "key":
        plain: Azurite = request.getfixturevalue("azurite")
        opened = QueueClient.from_connection_string(plain.connection_string, name)
    else:
        secured: Azurite = request.getfixturevalue("azurite_with_oauth")
        assert secured.tls
        authority = tmp_path / "authority.pem"
        secured.tls.write_authority(authority)
        opened = QueueClient(
            secured.endpoint("queue"),
            name,
            credential=OperatorCredential(StubCredential()),
            connection_verify=str(authority),
        )
    async with opened:
        yield opened


async def fill(client: QueueClient, count: int) -> list[str]:
    """Create the queue and put messages there as the host does; returns their ids."""
    await client.create_queue()
    text = base64.b64encode(collect_message().encode()).decode()
    return [str((await client.send_message(text)).id) for _ in range(count)]


async def visible(client: QueueClient) -> list[str]:
    return [str(message.id) for message in await client.peek_messages(max_messages=32)]


async def remove(message: PoisonMessage) -> bool:
    return True


async def test_queue_that_does_not_exist_is_empty(client: QueueClient) -> None:
    """The host creates it with the first message."""
    queue = PoisonQueue(client)

    await queue.take_each(remove)

    assert (await queue.count(), await queue.peek(32)) == (0, [])


async def test_peek_shows_messages_as_they_lie_there(client: QueueClient) -> None:
    """A text that is not base64 does not hide the others; no message is taken, and one token is enough."""
    [good] = await fill(client, 1)
    bad = str((await client.send_message("not base64!")).id)
    queue = PoisonQueue(client)

    found = await queue.peek(32)

    assert [(message.message_id, message.content is None) for message in found] == [
        (good, False),
        (bad, True),
    ]
    assert found[1].text == "not base64!"
    assert found[0].inserted_at > 1_700_000_000_000
    assert (await queue.count(), len(await queue.peek(1))) == (2, 1)


async def test_each_message_is_taken_once(client: QueueClient) -> None:
    """Also beyond one page. Those that stay are visible again at once."""
    ids = await fill(client, 40)
    taken = []

    async def take(message: PoisonMessage) -> bool:
        taken.append(message.message_id)
        return message.message_id not in ids[:2]

    await PoisonQueue(client).take_each(take)

    assert sorted(taken) == sorted(ids)
    assert sorted(await visible(client)) == sorted(ids[:2])


async def test_failure_shows_the_messages_again(client: QueueClient) -> None:
    """Those that were not handled yet as well: the operator need not wait for five minutes to try again."""
    ids = await fill(client, 3)

    async def fail(message: PoisonMessage) -> bool:
        raise CommandFailed("a reason")

    with pytest.raises(CommandFailed, match="a reason"):
        await PoisonQueue(client).take_each(fail)

    assert sorted(await visible(client)) == sorted(ids)


async def test_message_taken_by_another_operator_is_named(client: QueueClient) -> None:
    """It was handled, and is not in the queue any more."""
    [message_id] = await fill(client, 1)

    async def lose(message: PoisonMessage) -> bool:
        await client.clear_messages()
        return True

    with pytest.raises(CommandFailed, match=f"another operator took message {message_id}"):
        await PoisonQueue(client).take_each(lose)
