"""Writes the table of magic device ids into docs/simulator.md: `python -m local.simulator.docs`."""

from pathlib import Path

from local.simulator.scenarios import SCENARIOS, Call

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"

_BEGIN = "<!-- The table is written by: python -m local.simulator.docs -->"
_END = "<!-- End of the table. -->"

_SHOWS_IN: dict[Call, str] = {"perform": "the phone's check", "get": "result"}


def render(page: str) -> str:
    """Return the page with the current table; raises `ValueError` if the page has no place for it."""
    before, rest = page.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}\n{table()}{_END}{after}"


def table() -> str:
    """Return the magic device ids as a Markdown table."""
    rows = [
        f"| `{each.device_id}` | {_SHOWS_IN.get(each.call, each.call)} | {each.happens} |\n"
        for each in SCENARIOS
    ]
    return "| device id | shows in | what happens |\n| --- | --- | --- |\n" + "".join(rows)


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
