"""The table in docs/simulator.md."""

from local.simulator import SCENARIOS
from local.simulator.docs import PAGE, render, table


def test_page_is_up_to_date() -> None:
    """The committed page holds the table as it is: else run `python -m local.simulator.docs`."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == render(page)
    assert page == render(page.replace(table(), "| an | old | table |\n"))


def test_table_has_a_row_for_each_scenario() -> None:
    """Each device id has its row, which says what happens."""
    for row, scenario in zip(table().splitlines()[2:], SCENARIOS, strict=True):
        assert row.startswith(f"| `{scenario.device_id}` | ")
        assert row.endswith(f" | {scenario.happens} |")
