"""Where rows are in the tables, and how numbers are sent."""

import pytest
from azure.data.tables import EdmType, EntityProperty

from shared.storage.port import Entity, Table
from shared.storage.tables.rows import partition, place, to_row


def test_rows_of_a_create_share_a_partition_and_others_are_spread() -> None:
    """The charge of a create is one transaction; a flood of misses is not to slow it down."""
    keys = [f"{kind}-{number}" for kind in ("client", "device", "principal") for number in range(50)]
    assert {partition(Table.THROTTLE, key) for key in keys} == {"all"}
    for table, kind in ((Table.THROTTLE, "miss"), (Table.SESSIONS, "a")):
        found = {partition(table, f"{kind}-{number}") for number in range(2_000)}
        assert len(found) > 200
        assert all(len(name) == 2 and int(name, 16) < 256 for name in found)


@pytest.mark.parametrize(
    ("table", "start", "expected"),
    [
        (Table.SESSIONS, 0.0, ("PartitionKey", "00")),
        (Table.SESSIONS, 0.5, ("PartitionKey", "80")),
        (Table.SESSIONS, 0.9999, ("PartitionKey", "ff")),
        (Table.THROTTLE, 0.0, ("RowKey", "client-00")),
        (Table.THROTTLE, 0.5, ("RowKey", "miss-80")),
        (Table.THROTTLE, 0.9999, ("RowKey", "transaction-ff")),
    ],
)
def test_fraction_of_a_table_is_a_place(table: Table, start: float, expected: tuple[str, str]) -> None:
    """Throttle rows are in the order of their kinds, others in that of their partitions."""
    assert place(table, start) == expected


def test_integers_are_sent_with_64_bits() -> None:
    """Only whole numbers need a type, and a bool is not one of them."""
    row = to_row(Table.THROTTLE, Entity("a", {"number": 1, "flag": True, "text": "x"}, 2))
    assert {name: row[name] for name in ("number", "expires_at", "flag", "text")} == {
        "number": EntityProperty(1, EdmType.INT64),
        "expires_at": EntityProperty(2, EdmType.INT64),
        "flag": True,
        "text": "x",
    }
