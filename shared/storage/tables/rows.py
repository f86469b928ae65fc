"""Entities as rows of Table Storage, and back."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from azure.data.tables import EdmType, EntityProperty, TableEntity

from shared.storage.port import Entity, Table, Value

PARTITIONS: Final = 256
"""How many partitions rows spread over, named by two hexadecimal digits."""

_THROTTLE_KINDS: Final = ("client", "device", "principal")
"""What the keys of limits' rows begin with, in the order in which the service has them; hexadecimal digits follow."""

_NOT_VALUES: Final = frozenset({"PartitionKey", "RowKey", "expires_at"})


def partition(table: Table, key: str) -> str:
    """Answer the partition of a row.

    Throttle rows share one, because a transaction is atomic inside one partition only, and the limits of a
    request are charged together or not at all. A partition takes 2,000 entities a second
    (https://learn.microsoft.com/azure/storage/tables/scalability-targets). A create reads and writes three
    rows: what Face admits (10 a second by default) comes to some 60; refused calls are answered from memory.
    The others spread over 256: none becomes a bottleneck, and the retention job still finds rows to delete
    together.
    """
    return "all" if table is Table.THROTTLE else sha256(key.encode()).hexdigest()[:2]


def place(table: Table, start: float) -> tuple[str, str]:
    """Answer a column, and the value in it that the rows from a part (0 to 1) of the table on begin at."""
    if table is not Table.THROTTLE:
        return "PartitionKey", _two_digits(start)
    kinds = start * len(_THROTTLE_KINDS)
    kind = int(kinds) % len(_THROTTLE_KINDS)
    return "RowKey", f"{_THROTTLE_KINDS[kind]}-{_two_digits(kinds % 1)}"


def to_row(table: Table, entity: Entity) -> dict[str, Any]:
    """Make the row to send."""
    return {
        "PartitionKey": partition(table, entity.key),
        "RowKey": entity.key,
        "expires_at": _int64(entity.expires_at),
        **{name: _int64(value) if type(value) is int else value for name, value in entity.values.items()},
    }


def to_entity(row: TableEntity) -> Entity:
    """Read a row that the service sent."""
    values = {name: _plain(value) for name, value in row.items() if name not in _NOT_VALUES}
    return Entity(row["RowKey"], values, int(_plain(row["expires_at"])), row.metadata["etag"] or "")


def with_etag(entity: Entity, metadata: Mapping[str, Any]) -> Entity:
    """Answer a written entity with the etag in what the SDK returns for the write."""
    if not metadata["etag"]:
        raise ValueError("the answer to a write has no etag")
    return replace(entity, etag=metadata["etag"])


def _two_digits(part: float) -> str:
    return f"{int(part * PARTITIONS) % PARTITIONS:02x}"


def _int64(value: int) -> EntityProperty:
    # Without a type the SDK sends an int as Edm.Int32, and refuses one of more bits.
    return EntityProperty(value, EdmType.INT64)


def _plain(value: Any) -> Value:  # noqa: ANN401 - what the SDK makes of a property.
    plain: Value = value.value if isinstance(value, EntityProperty) else value
    return plain
