"""The bytes that Azurite stores, searched for a text in any encoding."""

import asyncio
import base64
import re

from tests.support.azurite import Azurite

# In a file, base64 texts follow each other; each is a whole number of groups.
_BASE64 = re.compile(
    rb"(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2}==|[A-Za-z0-9+/_-]{3}=|[A-Za-z0-9+/_-]{4})"
)
_SHORTEST = 8


class StoredFiles:
    """The content of all files: rows, visible messages and hidden ones, as they are and with base64 decoded."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._readings = {name: (content, *_decoded(content)) for name, content in files.items()}

    def holding(self, text: str) -> set[str]:
        """Name the files and folders with this text: plain, in UTF-16, in hexadecimal or in base64."""
        plain = text.encode()
        forms = plain, text.encode("utf-16-le"), plain.hex().encode(), plain.hex().upper().encode()
        return {
            name
            for name, readings in self._readings.items()
            if any(form in reading for reading in readings for form in forms)
        }


async def stored_files(azurite: Azurite) -> StoredFiles:
    """Read the files of an Azurite that keeps its data; it is restarted, because they are complete at its end."""
    await asyncio.to_thread(azurite.stop)
    found: dict[str, bytes] = {}
    for path in azurite.folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(azurite.folder).parts[0]
            found[name] = found.get(name, b"") + path.read_bytes()
    await asyncio.to_thread(azurite.start)
    return StoredFiles(found)


def _decoded(content: bytes) -> list[bytes]:
    found = [match.group() for match in _BASE64.finditer(content) if len(match.group()) >= _SHORTEST]
    return [base64.b64decode(text, altchars=b"-_" if set(text) & set(b"-_") else None) for text in found]
