"""Plays all faults and writes docs/reliability.md: `python -m tests.faults.matrix`. It takes some five minutes."""

import asyncio
import resource
import sys
from pathlib import Path

from tests.faults.matrix.cells import TARGETS, Cell, run_cell, run_target, world
from tests.faults.matrix.effects import (
    CALLERS,
    PAIRS,
    calls_after_a_slow_face,
    polls_while_a_name_hangs,
    run_pair,
)
from tests.faults.matrix.faults import FAULTS, Fault
from tests.support.azurite import Azurite

_PAGE = Path(__file__).parents[3] / "docs" / "reliability.md"
_SLOW_FACE_SECONDS = 60

_HEAD = """# Reliability

What callers get while a dependency is in trouble. `make faults` plays each fault against the broker over real sockets,
with the deadlines of production, and writes this page. `make test` plays the same cells.

## What is promised

- Each request is answered within 10 s, sign-in included.
- The error names what failed: the codes of `502`, `503` and `504` in [api.md](api.md). A `503` has `Retry-After`.
- The broker reports nothing that did not happen: no pass without Face's result, no deletion that Face did not make, no
  event that Event Grid did not take.
- The broker works again as soon as the dependency does, without a restart.
- One answer takes at most 20 MB of memory, however large it is."""


def _table(cells: list[Cell]) -> str:
    """One row for each fault, one column for each target."""
    of = {(cell.target, cell.fault): cell for cell in cells}
    lines = [
        f"| fault | {' | '.join(target.name for target in TARGETS)} |",
        "| --- " * (len(TARGETS) + 1) + "|",
    ]
    for fault in FAULTS:
        shown = [_shown(of.get((target.name, fault.name))) for target in TARGETS]
        lines.append(f"| {fault.name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return "has no TLS"
    failed = "**broken** " if cell.broken else ""
    return f"{failed}{cell.told} {cell.told.seconds:.1f} s".replace("0 put back", "put back")


async def _memory(azurite: Azurite) -> float:
    """The growth of the peak memory of this process by the largest answers, in MB."""
    huge = [fault for fault in FAULTS if fault.name in ("gzip bomb", "hidden gzip bomb", "200 MB")]
    well = next(fault for fault in FAULTS if fault.name == "slow answer")
    async with world(azurite) as shared:

        async def play(faults: list[Fault]) -> None:
            for target in TARGETS:
                for fault in faults:
                    await run_cell(shared, target, fault)

        await play([well])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await play(huge)
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


async def _play() -> tuple[str, int]:
    broken, parts = 0, [_HEAD]
    with Azurite() as azurite:
        memory = await _memory(azurite)
        cells = []
        for target in TARGETS:
            print(target.name, "...", file=sys.stderr, flush=True)
            cells += await run_target(azurite, target)
        wrong = [cell for cell in cells if cell.broken]
        broken += len(wrong)
        replayed = sum(cell.replayed for cell in cells)
        held = f"{len(cells) - len(wrong)} of {len(cells)} cells hold."
        held += f" {replayed} of them failed at first, and held when they were played again alone."
        parts.append(f"## One fault\n\n{held}\n\n{_table(cells)}")
        parts += [f"- {cell}" for cell in wrong]
        lines = ["## Two faults at once", "", "| a create while | answer |", "| --- | --- |"]
        for pair in PAIRS:
            print(pair.name, "...", file=sys.stderr, flush=True)
            told, faults = await run_pair(azurite, pair)
            broken += bool(faults)
            lines.append(f"| {pair.name} | {'; '.join(faults) or f'{told} {told.seconds:.1f} s'} |")
        parts.append("\n".join(lines))
        polls, failed_polls = await polls_while_a_name_hangs(azurite)
        print(f"Face is slow for {_SLOW_FACE_SECONDS} s ...", file=sys.stderr, flush=True)
        calls, failed_calls = await calls_after_a_slow_face(azurite, _SLOW_FACE_SECONDS)
        broken += len(failed_polls) + len(failed_calls) + (memory > 20)
        parts.append(
            "## Effects on everything else\n\n"
            "| figure | measured | target |\n| --- | --- | --- |\n"
            f"| memory that an answer of 200 MB takes, plain or packed, at worst | {memory:.1f} MB | 20 MB |\n"
            f"| creates that fail after Face was slow for {_SLOW_FACE_SECONDS} s under {CALLERS} callers, of {calls} "
            f"| {len(failed_calls)} | 0 |\n"
            f"| polls of a finished session that fail while Face's name hangs, of {polls} | {len(failed_polls)} | 0 |"
        )
    return "\n\n".join(parts) + "\n", broken


if __name__ == "__main__":
    page, broken = asyncio.run(_play())
    _PAGE.write_text(page)
    print(f"{broken} broken promises; see {_PAGE.name}")
    sys.exit(bool(broken))
