"""The poison queue: messages that failed too often, read as they are stored."""

import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from azure.core.exceptions import ResourceNotFoundError

from ops.access import QUEUE_READER, QUEUE_WRITER, explained
from ops.output import CommandFailed
from shared.queues.message import CollectMessage, id_of_text

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage
    from azure.storage.queue.aio import QueueClient

Handle = Callable[["PoisonMessage"], Awaitable[bool]]
"""Handles one message; returns whether to remove it from the poison queue."""

MOST_PEEKED: Final = 32
"""The service's limit for one look: https://learn.microsoft.com/rest/api/storageservices/peek-messages"""
_HIDDEN_SECONDS: Final = 300
_WHAT: Final = "the poison queue"


@dataclass(frozen=True, slots=True)
class PoisonMessage:
    """A message; `content` is None where its text cannot be used, and `flaw` says why. Times in unix milliseconds."""

    inserted_at: int
    text: str
    content: CollectMessage | None = None
    flaw: str = ""

    @property
    def message_id(self) -> str:
        """The id that the app's log lines about this message have. Messages with the same text share one."""
        return id_of_text(self.text) if self.content is None else self.content.message_id

    @classmethod
    def read(cls, inserted_at: int, raw: str) -> Self:
        """Read a message from its text on the wire. The host also puts texts there that are not base64."""
        try:
            text = base64.b64decode(raw, validate=True).decode("utf-8", "replace")
        except ValueError:
            text = raw
        try:
            return cls(inserted_at, text, CollectMessage.from_text(text))
        except ValueError as fault:
            return cls(inserted_at, text, flaw=str(fault))


class PoisonQueue:
    """The poison queue, over a client that leaves texts as they are on the wire; raises `CommandFailed`."""

    def __init__(self, client: "QueueClient") -> None:
        self._client = client

    async def count(self) -> int:
        """Return the service's estimate, hidden messages included, which is never too low; 0 without a queue."""
        with explained(_WHAT, QUEUE_READER):
            try:
                properties = await self._client.get_queue_properties()
            except ResourceNotFoundError:
                return 0
        return int(properties.approximate_message_count or 0)

    async def peek(self) -> list[PoisonMessage]:
        """Return up to 32 visible messages without taking them."""
        with explained(_WHAT, QUEUE_READER):
            return [_read(message) for message in await self._client.peek_messages(max_messages=MOST_PEEKED)]

    async def take_all(self) -> list[PoisonMessage]:
        """Return all messages. They are hidden meanwhile, and show again at the end."""
        taken: list[PoisonMessage] = []

        async def keep(message: PoisonMessage) -> bool:
            taken.append(message)
            return False

        await self.take_each(keep)
        return taken

    async def take_each(self, handle: Handle) -> None:
        """Take each message once. Remove those that `handle` says, and show the others again at the end.

        Takes as many as there are now: a message that fails again meanwhile is a new one.
        If this process dies, the messages that it held show again after five minutes.
        """
        if not (count := await self.count()):
            return
        held: list[QueueMessage] = []
        try:
            with explained(_WHAT, QUEUE_WRITER):
                # One in each request: none is hidden before its turn.
                taken = self._client.receive_messages(max_messages=count, visibility_timeout=_HIDDEN_SECONDS)
                async for message in taken:
                    held.append(message)
                    if await handle(_read(message)):
                        await self._remove(message)
                        held.remove(message)
        finally:
            for message in held:
                # Where this fails, the message shows again after five minutes.
                with suppress(Exception):
                    await self._client.update_message(message.id, message.pop_receipt, visibility_timeout=0)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _remove(self, message: "QueueMessage") -> None:
        try:
            await self._client.delete_message(message.id, message.pop_receipt)
        except ResourceNotFoundError as fault:
            raise CommandFailed(f"another operator took message {message.id} at the same time") from fault


def _read(message: "QueueMessage") -> PoisonMessage:
    inserted_at = round(message.inserted_on.timestamp() * 1000) if message.inserted_on else 0
    return PoisonMessage.read(inserted_at, str(message.content or ""))
