"""`python -m benchmarks.store_calls`: measures over Azurite and prints tables; docs/performance.md holds them."""

import asyncio
import platform
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.store_calls.bench import Bench
from benchmarks.store_calls.cases import CASES
from benchmarks.store_calls.measure import (
    HERD,
    HERD_TARGET,
    Calls,
    Cost,
    Measured,
    count_calls,
    count_herd,
    measure,
)
from local.azurite import HOW_TO_GET_IT, AzuriteProcess, find_azurite
from shared.storage.azure_table import open_table_store
from shared.storage.port import EntityStore

IN_FLIGHT: Final = (1, 16, 64)


async def main(store: EntityStore) -> None:
    """Count and measure over a store, which is closed in the end."""
    bench = Bench.over(store)
    try:
        await _print_calls(bench)
        await _print_costs(bench)
    finally:
        await store.aclose()


async def _print_calls(bench: Bench) -> None:
    _row("one request", "store calls", "round trips one after another", "target")
    _row(*["---"] * 4)
    for case in CASES:
        _row(case.name, *_counted(await count_calls(bench, case), case.target))
    herd = await count_herd(bench)
    _row(f"{HERD} creates of one device at once: the limiter, for all", *_counted(herd, HERD_TARGET))
    print(flush=True)


async def _print_costs(bench: Bench) -> None:
    print(
        f"Python {platform.python_version()}, {platform.machine()}; CPU and latency over those of a bare read"
    )
    print("with as many in flight; medians of ratios taken round by round.\n")
    _row("CPU, latency", *[f"{number} in flight" for number in IN_FLIGHT])
    _row(*["---"] * (1 + len(IN_FLIGHT)))
    measured: list[Sequence[Measured]] = []
    for case in CASES:
        measured.append([await measure(bench, case, number) for number in IN_FLIGHT])
        _row(case.name, *[_ratio(each.ratio) for each in measured[-1]])
    bare = [_median_read([each[place].bare for each in measured]) for place in range(len(IN_FLIGHT))]
    _row("bare read", *[f"{cost.cpu:.0f} us, {cost.latency:.1f} ms" for cost in bare])


def _counted(calls: Calls, target: int | None) -> tuple[str, str, str]:
    return str(calls.total), str(calls.in_sequence), "" if target is None else f"at most {target}"


def _ratio(cost: Cost) -> str:
    return f"{cost.cpu:.2f}, {cost.latency:.2f}"


def _median_read(costs: Sequence[Cost]) -> Cost:
    return sorted(costs, key=lambda cost: cost.latency)[len(costs) // 2]


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _run() -> None:
    program = find_azurite()
    if program is None:
        sys.exit(HOW_TO_GET_IT)
    with AzuriteProcess(program) as azurite:
        # Azurite answers 64 at a time in a tenth of a second; nothing here is about a store that fails.
        store = open_table_store(azurite.connection_string, create_tables=True, deadline=10.0)
        asyncio.run(main(store))


if __name__ == "__main__":
    _run()
