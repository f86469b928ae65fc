"""A memory store that keeps every version of every row, and finds secrets in them."""

import base64
import binascii
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from shared.storage.port import Entity, MemoryStore, Table, Value


class WatchedStore(MemoryStore):
    """`versions` are the versions of a row, oldest first; `leaks` are the secrets that any row ever held."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__()
        self.versions: dict[tuple[Table, str], list[Mapping[str, Value]]] = defaultdict(list)
        self.leaks: list[str] = []
        self._secrets = tuple(secrets)

    def now(self, table: Table, key: str) -> Mapping[str, Value] | None:
        """Return the values of a row as it is now, or None if there is no such row."""
        entity = self._tables[table].get(key)
        return entity.values if entity else None

    def rows(self) -> dict[tuple[Table, str], tuple[Entity, str]]:
        return {
            (table, key): (entity, entity.etag)
            for table, entities in self._tables.items()
            for key, entity in entities.items()
        }

    def _put(self, table: Table, entity: Entity) -> Entity:
        self.versions[table, entity.key].append(entity.values)
        self.leaks += leaks(self._secrets, [entity.key, *entity.values.values()])
        return super()._put(table, entity)


def leaks(secrets: Collection[str], values: Collection[object]) -> list[str]:
    """Return the secrets that are in any of the values, as they are or in base64."""
    texts = [text for value in values for text in _texts(str(value))]
    return [secret for secret in secrets if any(secret in text for text in texts)]


def _texts(text: str) -> Iterator[str]:
    yield text
    try:
        yield base64.b64decode(text, validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return
