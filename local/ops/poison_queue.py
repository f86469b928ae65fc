"""The queue of messages that failed too often: looked at, taken through, put back.

Messages are read raw: one that is not even base64, which the host has put there as well, must not stop the others.
"""

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from local.ops.failures import QUEUE_READER, QUEUE_WRITER, Failure, explained
from shared.queues.message import CollectMessage
from shared.queues.port import MessageQueue

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage
    from azure.storage.queue.aio import QueueClient

PEEKED_AT_MOST: Final = 32
"""What the service shows of a queue without taking it: https://learn.microsoft.com/rest/api/storageservices/peek-messages."""

_HIDDEN_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class PoisonMessage:
    """A message as it lies there; `content` is None where nobody can do anything with it, and `why` says so."""

    message_id: str
    inserted_at: int
    text: str
    content: CollectMessage | None
    why: str | None


Handle = Callable[[PoisonMessage], Awaitable[bool]]
"""Deals with one message; answers whether it is to leave the poison queue."""


class PoisonQueue:
    """The poison queue, by a client that leaves texts as they are, and the one that its messages came from.

    Raises `Failure`.
    """

    def __init__(self, poison: "QueueClient", results: MessageQueue) -> None:
        self._poison = poison
        self._results = results

    async def count(self) -> int:
        """How many messages there are, hidden ones too: never fewer, maybe more. A missing queue has none."""
        from azure.core.exceptions import ResourceNotFoundError

        with _reading():
            try:
                properties = await self._poison.get_queue_properties()
            except ResourceNotFoundError:
                return 0
        return int(properties.approximate_message_count or 0)

    async def peek(self, at_most: int) -> list[PoisonMessage]:
        """The messages that show, up to 32, without taking them."""
        from azure.core.exceptions import ResourceNotFoundError

        with _reading():
            try:
                return [_read(message) for message in await self._poison.peek_messages(max_messages=at_most)]
            except ResourceNotFoundError:
                return []

    async def go_through(self, handle: Handle) -> None:
        """Take each message once, and remove those that `handle` says; the others show again at the end.

        Where this fails or the process dies, they show again after five minutes.
        """
        if not (count := await self.count()):
            return
        async with self._putting_back() as keep:
            with _changing():
                # As many as there were: what fails again meanwhile comes back as a new message.
                taken = self._poison.receive_messages(
                    messages_per_page=min(count, 16), visibility_timeout=_HIDDEN_SECONDS, max_messages=count
                )
                async for message in taken:
                    keep.append(message)
                    if await handle(_read(message)):
                        await self._remove(keep.pop())

    async def put_to_results(self, content: CollectMessage) -> None:
        """Add a message to the queue of the app, visible at once."""
        with _changing():
            await self._results.send(content.to_text(), 0)

    @asynccontextmanager
    async def _putting_back(self) -> AsyncIterator[list["QueueMessage"]]:
        kept: list[QueueMessage] = []
        try:
            yield kept
        finally:
            for message in kept:
                with suppress(Exception):
                    # Where this fails it shows a little later.
                    await self._poison.update_message(message.id, message.pop_receipt, visibility_timeout=0)

    async def _remove(self, message: "QueueMessage") -> None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            await self._poison.delete_message(message.id, message.pop_receipt)
        except ResourceNotFoundError as fault:
            raise Failure(f"message {message.id} was taken by somebody else at the same time") from fault


@contextmanager
def _reading() -> Iterator[None]:
    with explained("the poison queue", QUEUE_READER):
        yield


@contextmanager
def _changing() -> Iterator[None]:
    with explained("the queues", QUEUE_WRITER):
        yield


def _read(message: "QueueMessage") -> PoisonMessage:
    text, why, content = _decoded(str(message.content or "")), None, None
    try:
        content = CollectMessage.from_text(text)
    except ValueError as fault:
        why = str(fault)
    return PoisonMessage(str(message.id), _milliseconds(message.inserted_on), text, content, why)


def _decoded(raw: str) -> str:
    try:
        return base64.b64decode(raw, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return raw


def _milliseconds(moment: datetime | None) -> int:
    return round(moment.timestamp() * 1000) if moment else 0
