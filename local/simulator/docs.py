"""Writes the table of magic device ids into docs/simulator.md: `python -m local.simulator.docs`."""

import re
from pathlib import Path

from local.simulator.scenarios import SCENARIOS, Call

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"

_BEGIN = "<!-- The table is written by: python -m local.simulator.docs -->"
_END = "<!-- End of the table. -->"

_SHOWS_IN: dict[Call, str] = {
    "perform": "the phone's check",
    "create": "create",
    "get": "result",
    "delete": "delete",
}


def render(page: str) -> str:
    """Answer the page with the table as it should be; ValueError where the page has no place for it."""
    written, places = re.subn(
        f"{re.escape(_BEGIN)}.*{re.escape(_END)}",
        lambda _: f"{_BEGIN}\n{table()}{_END}",
        page,
        flags=re.DOTALL,
    )
    if places != 1:
        raise ValueError(f"the page needs one place between {_BEGIN} and {_END}")
    return written


def table() -> str:
    """Answer the magic device ids as a Markdown table."""
    rows = [f"| `{each.device_id}` | {_SHOWS_IN[each.call]} | {each.happens} |\n" for each in SCENARIOS]
    return "| device id | shows in | what happens |\n| --- | --- | --- |\n" + "".join(rows)


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
