"""The table in docs/simulator.md."""

import pytest

from local.simulator import SCENARIOS
from local.simulator.docs import PAGE, render, table


def test_page_is_up_to_date() -> None:
    """The committed page holds the table as it is: else run `python -m local.simulator.docs`."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == render(page)


def test_table_has_a_row_for_each_scenario() -> None:
    """Each device id has its row, which says what happens."""
    rows = table().splitlines()[2:]
    assert len(rows) == len(SCENARIOS)
    for row, scenario in zip(rows, SCENARIOS, strict=True):
        assert row.startswith(f"| `{scenario.device_id}` | ")
        assert row.endswith(f" | {scenario.happens} |")


def test_stale_table_is_replaced() -> None:
    """What stands between the marks is written anew, and nothing else changes."""
    page = PAGE.read_text(encoding="utf-8")
    stale = page.replace(table(), "| an | old | table |\n")
    assert stale != page
    assert render(stale) == page


def test_page_without_place_is_refused() -> None:
    """A page whose marks are lost is an error, not left as it is."""
    with pytest.raises(ValueError, match="one place"):
        render("no marks")
