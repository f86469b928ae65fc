"""Stored values are read as they were written, or refused."""

from collections.abc import Callable

import pytest

from shared.storage.columns import count, flag, json_list, moment, text
from shared.text import LATEST


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (text, ["", "é"], [None, 1, b"x", "\ud800"]),
        (count, [0, 2**63], [-1, True, 1.0, "1", None]),
        (moment, [0, LATEST], [-1, LATEST + 1, True, None]),
        (flag, [True, False], [0, 1, "true", None]),
        (json_list, ["[]", "[1]"], ["{}", "[", "[NaN]", "", None, "[" * 30_000]),
    ],
)
def test_value_is_read_or_refused(
    read: Callable[[object], object], good: list[object], bad: list[object]
) -> None:
    """A bool is no number, and a lone surrogate cannot be written again."""
    assert [read(value) for value in good] == ([[], [1]] if read is json_list else good)
    for value in bad:
        with pytest.raises(ValueError, match=r"\w"):
            read(value)
