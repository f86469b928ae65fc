"""The page that `make bench` writes its figures into."""

from pathlib import Path

import pytest

from benchmarks.__main__ import PARTS, placed

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_replaces_its_own_table_and_nothing_else(part: str) -> None:
    """Two runs leave the page as one does, with the table of the second."""
    page = PAGE.read_text("utf-8")
    once = placed(page, part, "| first |")
    again = placed(once, part, "| second |")

    assert again == once.replace("| first |", "| second |")
    kept = {line for line in page.splitlines() if not line.startswith(("|", "_"))}
    assert kept == {line for line in again.splitlines() if not line.startswith(("|", "_"))}
