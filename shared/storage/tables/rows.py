"""Entities as rows of Table Storage, and back."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from azure.data.tables import EdmType, EntityProperty, TableEntity

from shared.errors import StorageUnavailable
from shared.storage.port import Entity, Table

# The other tables spread over 256 partitions, named by two hexadecimal digits.
_PARTITIONS: Final = 256
# How the keys of throttle rows begin, in the service's order; hexadecimal digits follow.
_THROTTLE_KINDS: Final = ("client", "device", "miss", "principal", "transaction")


def partition(table: Table, key: str) -> str:
    """Return the partition of a row: one for the throttle rows of creates, which are written in one transaction.

    A partition takes 2,000 entities a second (https://learn.microsoft.com/azure/storage/tables/scalability-targets).
    A create reads and writes four rows, and Face admits 10 creates a second: 80 entities, or 160 while the pepper is
    rotated. Nothing bounds the rate of misses, so their rows are spread: a flood of them must not slow creates down.
    """
    in_transactions = table is Table.THROTTLE and not key.startswith("miss-")
    return "all" if in_transactions else sha256(key.encode()).hexdigest()[:2]


def place(table: Table, start: float) -> tuple[str, str]:
    """Return the column, and the value in it, where the rows after a fraction (0 to 1) of the table begin."""
    if table is not Table.THROTTLE:
        return "PartitionKey", _two_digits(start)
    kinds = start * len(_THROTTLE_KINDS)
    kind = int(kinds) % len(_THROTTLE_KINDS)
    return "RowKey", f"{_THROTTLE_KINDS[kind]}-{_two_digits(kinds % 1)}"


def to_row(table: Table, entity: Entity) -> dict[str, Any]:
    """Make the row to send."""
    row: dict[str, Any] = {**entity.values, "expires_at": entity.expires_at}
    for name, value in row.items():
        if type(value) is int:
            # Without a type the SDK sends an int as Edm.Int32, and refuses a larger one.
            row[name] = EntityProperty(value, EdmType.INT64)
    return {"PartitionKey": partition(table, entity.key), "RowKey": entity.key, **row}


def to_entity(row: TableEntity) -> Entity:
    """Read a row that the service sent."""
    values = {
        name: value.value if isinstance(value, EntityProperty) else value for name, value in row.items()
    }
    del values["PartitionKey"]
    return Entity(values.pop("RowKey"), values, int(values.pop("expires_at")), row.metadata["etag"] or "")


def with_etag(entity: Entity, metadata: Mapping[str, Any]) -> Entity:
    """Return a written entity with the etag in the SDK's answer to the write."""
    if not metadata["etag"]:
        raise StorageUnavailable("the answer to a write has no etag")
    return replace(entity, etag=metadata["etag"])


def _two_digits(fraction: float) -> str:
    return f"{int(fraction * _PARTITIONS) % _PARTITIONS:02x}"
