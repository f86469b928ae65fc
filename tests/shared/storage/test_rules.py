"""The rules for entities."""

from enum import StrEnum
from typing import Any

import pytest

from shared.storage.port import Entity, require_key, require_storable


class Word(StrEnum):
    """A subclass of a type that values may have."""

    ONE = "one"


@pytest.mark.parametrize("key", ["", "A", "a_b", "a/b", "a b", "ä", "a\n", "x" * 129, "../a", "\u0661"])
def test_key_of_other_characters_is_refused(key: str) -> None:
    """A key is part of URLs and of filters, so no character of it may need escaping."""
    with pytest.raises(ValueError, match="key"):
        require_key(key)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * 32_769, id="long-string"),
        pytest.param("\U0001f642" * 16_385, id="long-string-of-surrogate-pairs"),
        pytest.param("\ud800", id="lone-surrogate"),
        pytest.param(2**63, id="large-integer"),
        pytest.param(-(2**63) - 1, id="small-integer"),
        pytest.param(float("nan"), id="nan"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param(None, id="none"),
        pytest.param(b"x", id="bytes"),
        pytest.param([1], id="list"),
        pytest.param(Word.ONE, id="enum"),
    ],
)
def test_value_that_would_not_come_back_is_refused_by_name(value: Any) -> None:  # noqa: ANN401
    """The message names the value, and does not contain it."""
    with pytest.raises(ValueError, match=r"^value: ") as raised:
        require_storable(Entity("a", {"value": value}, 1))

    assert "x" * 10 not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["PartitionKey", "RowKey", "Timestamp", "expires_at", "", "a-b", "1a", "a@odata.type", "ä", "x" * 256],
)
def test_name_that_means_something_to_the_service_is_refused(name: str) -> None:
    """The name of a value is an identifier, and not the name of a column that each row has."""
    with pytest.raises(ValueError, match="name"):
        require_storable(Entity("a", {name: 1}, 1))


def test_more_values_than_a_row_can_hold_are_refused() -> None:
    values = {f"value_{number}": number for number in range(251)}
    require_storable(Entity("a", values, 1))

    with pytest.raises(ValueError, match="at most 251"):
        require_storable(Entity("a", values | {"one_more": 1}, 1))


@pytest.mark.parametrize("expires_at", [2**63, -(2**63) - 1])
def test_end_beyond_64_bits_is_refused(expires_at: int) -> None:
    with pytest.raises(ValueError, match="expires_at"):
        require_storable(Entity("a", {}, expires_at))
