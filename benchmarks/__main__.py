"""`python -m benchmarks [PART ...]`: measures, prints each table, and writes it into docs/performance.md."""

import argparse
import asyncio
import os
import platform
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import cold_start, create_cost, sign_in_cost, store_calls, table_cost, throughput

_DOCS = Path(__file__).parents[1] / "docs"
_PAGE = _DOCS / "performance.md"

PARTS: dict[str, Callable[[], Awaitable[str]]] = {
    "create": create_cost.measure,
    "sign-in": sign_in_cost.measure,
    "express": lambda: throughput.measure(_DOCS / "performance.svg"),
    "table": table_cost.measure,
    "cold": cold_start.measure,
    "store": store_calls.measure,
}


async def main(parts: list[str]) -> None:
    """Measure one part after the other; each has its place between two comments of the page."""
    for part in parts:
        load = os.getloadavg()[0]
        measured = await PARTS[part]()
        machine = (
            f"{os.cpu_count()} cores, load average {load:.1f} before it, Python {platform.python_version()}"
        )
        block = f"{measured}\n\n_Measured on {machine}._"
        print(f"\n{block}", flush=True)
        _PAGE.write_text(placed(_PAGE.read_text(), part, block))


def placed(page: str, part: str, block: str) -> str:
    """Return the page with another block for a part; raises `ValueError` where the page has no place for it."""
    begin, end = f"<!-- Made by `python -m benchmarks {part}`. -->\n", f"\n<!-- End of {part}. -->"
    start = page.index(begin) + len(begin)
    return page[:start] + block + page[page.index(end, start) :]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; default: all")
    asked: list[str] = parser.parse_args().parts
    if unknown := set(asked) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    asyncio.run(main(asked or list(PARTS)))
