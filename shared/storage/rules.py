"""The rules for entities. Every store applies them before it sends anything."""

import math
import re
from collections.abc import Sequence
from typing import Final

from shared.storage.port import Entity, Value

# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_MAX_STRING_UNITS: Final = 32_768
# Of 255 properties the service uses three, and `expires_at` is one more.
_MAX_VALUES: Final = 251
MAX_TOGETHER: Final = 100
"""The most entities in one transaction."""

_KEY: Final = re.compile(r"[0-9a-z-]{1,128}")
_LONGEST_NAME: Final = 255
_RESERVED: Final = frozenset({"PartitionKey", "RowKey", "Timestamp", "expires_at"})
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**63 - 1


def require_key(key: str) -> None:
    """Raise `ValueError` for a key that is not 1 to 128 characters of `0-9 a-z -`."""
    if not _KEY.fullmatch(key):
        raise ValueError("an entity's key is 1 to 128 characters of 0-9, a-z and -")


def require_storable(entity: Entity) -> None:
    """Raise `ValueError`, naming the value, for an entity that Table Storage would refuse or change."""
    require_key(entity.key)
    if not _SMALLEST <= entity.expires_at <= _LARGEST:
        raise ValueError("expires_at: an integer has at most 64 bits")
    if len(entity.values) > _MAX_VALUES:
        raise ValueError(f"an entity has at most {_MAX_VALUES} values")
    for name, value in entity.values.items():
        # Every request stores some twenty values: a pattern for names takes five times as long, and most values are
        # short ASCII, numbers and flags, which cost no further call.
        is_name = name.isidentifier() and name.isascii() and len(name) <= _LONGEST_NAME
        if not is_name or name in _RESERVED:
            raise ValueError("the name of a value is an identifier that the store does not use itself")
        is_short = type(value) is str and len(value) <= _MAX_STRING_UNITS and value.isascii()
        is_number = type(value) is int and _SMALLEST <= value <= _LARGEST
        if not (is_short or is_number or type(value) is bool):
            _require_value(name, value)


def require_read(etag: str) -> str:
    """Return the etag; raises `ValueError` for an empty one, because such an entity was never read."""
    if not etag:
        raise ValueError("only an entity that was read from the store has an etag")
    return etag


def require_batch(entities: Sequence[Entity]) -> None:
    """Raise `ValueError` for more entities than one transaction takes, the same key twice, or one not storable."""
    if len(entities) > MAX_TOGETHER:
        raise ValueError(f"at most {MAX_TOGETHER} entities are written together")
    if len({entity.key for entity in entities}) < len(entities):
        raise ValueError("entities that are written together need different keys")
    for entity in entities:
        require_storable(entity)


def _require_value(name: str, value: Value) -> None:
    # Exact types: an enum or another subclass would come back as a different type.
    if type(value) is str:
        try:
            units = len(value.encode("utf-16-le")) // 2
        except UnicodeEncodeError:
            raise ValueError(f"{name}: a string is Unicode text, without lone surrogates") from None
        if units > _MAX_STRING_UNITS:
            raise ValueError(f"{name}: a string has at most {_MAX_STRING_UNITS} UTF-16 code units")
    elif type(value) is int:
        if not _SMALLEST <= value <= _LARGEST:
            raise ValueError(f"{name}: an integer has at most 64 bits")
    elif type(value) is float:
        if not math.isfinite(value):
            raise ValueError(f"{name}: a float is a finite number")
    elif type(value) is not bool:
        raise ValueError(f"{name}: a value is a str, int, float or bool")
