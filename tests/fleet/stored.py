"""Every byte that Azurite keeps: rows, messages, and its files, in whatever form a text can be hidden there."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path

from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from tests.support.azurite import Azurite

# Messages stand behind each other in one file, each a whole number of groups.
_BASE64 = re.compile(
    rb"(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2}==|[A-Za-z0-9+/_-]{3}=|[A-Za-z0-9+/_-]{4})"
)
_SHORTEST = 8


class KeptAzurite(Azurite):
    """Azurite with its data in a folder."""

    def __init__(self) -> None:
        super().__init__(keep=True)

    @property
    def folder(self) -> Path:
        """Where its files are; complete once it has stopped."""
        return self._folder


def files_of(azurite: KeptAzurite) -> dict[str, bytes]:
    """Read all files of an Azurite that was stopped: messages that are hidden for now among them."""
    files = [path for path in azurite.folder.rglob("*") if path.is_file()]
    return {path.relative_to(azurite.folder).as_posix(): path.read_bytes() for path in files}


async def rows_of(azurite: Azurite) -> dict[str, bytes]:
    """Read all entities of all tables, all that the SDK says about each."""
    found: dict[str, bytes] = {}
    async with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        async for table in service.list_tables():
            rows = [row async for row in service.get_table_client(table.name).list_entities()]
            for row in rows:
                found[f"{table.name}/{row['RowKey']}"] = repr((dict(row), row.metadata)).encode()
    return found


async def messages_of(azurite: Azurite) -> dict[str, bytes]:
    """Look at the messages of all queues that show now, as they are on the wire."""
    found: dict[str, bytes] = {}
    async with QueueServiceClient.from_connection_string(azurite.connection_string) as service:
        async for queue in service.list_queues(include_metadata=True):
            for message in await service.get_queue_client(queue.name).peek_messages(32):
                found[f"{queue.name}/{message.id}"] = f"{queue.metadata} {message.content}".encode()
    return found


def holding(stored: Mapping[str, bytes], secret: str) -> list[str]:
    """Name what holds a text: as it is, in UTF-16, in hexadecimal or in base64."""
    plain = secret.encode()
    forms = plain, secret.encode("utf-16-le"), plain.hex().encode(), plain.hex().upper().encode()
    return [
        name
        for name, content in stored.items()
        if any(form in reading for reading in (content, *decoded(content)) for form in forms)
    ]


def decoded(content: bytes) -> list[bytes]:
    """Read whatever can be read as base64."""
    found = [match.group() for match in _BASE64.finditer(content) if len(match.group()) >= _SHORTEST]
    return [base64.b64decode(text, altchars=b"-_" if set(text) & set(b"-_") else None) for text in found]
