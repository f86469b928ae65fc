"""The page that `make bench` writes its figures into."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.__main__ import PARTS, placed
from benchmarks.plot import draw

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


def test_plot_has_a_line_for_each_server_with_a_point_for_each_number_in_flight(tmp_path: Path) -> None:
    """More CPU time is further up."""
    path = tmp_path / "plot.svg"
    draw(
        path, (1, 16, 64), {"broker": (900, 700, 650), "bare": (800, 1400, 1700), "Express": (1000, 600, 610)}
    )

    lines = ElementTree.parse(path).findall("{*}polyline")  # noqa: S314 - our own file.
    broker, bare, _ = (
        [tuple(map(int, point.split(","))) for point in line.attrib["points"].split()] for line in lines
    )
    assert [x for x, _ in broker] == [x for x, _ in bare]
    assert [y for _, y in broker] == sorted(y for _, y in broker)
    assert [y for _, y in bare] == sorted((y for _, y in bare), reverse=True)
