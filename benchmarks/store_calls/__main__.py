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
    ROUNDS,
    Calls,
    Cost,
    best,
    count_calls,
    count_herd,
    measure,
)
from local.azurite import HOW_TO_GET_IT, AzuriteProcess, find_azurite
from shared.queues.azure_queue import open_queue
from shared.queues.port import RESULTS_QUEUE, MessageQueue
from shared.storage.azure_table import open_table_store
from shared.storage.port import EntityStore

IN_FLIGHT: Final = (1, 16, 64)


async def main(store: EntityStore, queue: MessageQueue) -> None:
    """Count and measure over a store and a queue, which are closed in the end."""
    bench = Bench.over(store, queue)
    try:
        await _print_calls(bench)
        await _print_costs(bench)
    finally:
        await store.aclose()
        await queue.aclose()


async def _print_calls(bench: Bench) -> None:
    _row(
        "calls of one request",
        "of the store",
        "of the queue",
        "trips to the store",
        "trips to both",
        "target",
    )
    _row(*["---"] * 6)
    for case in CASES:
        _row(case.name, *_counted(await count_calls(bench, case)), _target(case.target))
    herd = await count_herd(bench)
    name = f"{HERD} creates of one device at once"
    _row(f"{name}, in all", str(herd.of_store), str(herd.messages), "", "", "")
    throttle = str(herd.throttle_calls), "", str(herd.throttle_trips), ""
    _row(f"{name}, throttle rows", *throttle, f"at most {HERD_TARGET} calls")
    print(flush=True)


async def _print_costs(bench: Bench) -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}; best of {ROUNDS} rounds each.\n")
    _row("CPU, latency over a bare read", *[f"{number} in flight" for number in IN_FLIGHT])
    _row(*["---"] * (1 + len(IN_FLIGHT)))
    bare: list[Sequence[Cost]] = []
    for case in CASES:
        if case.timed:
            measured = [await measure(bench, case, number) for number in IN_FLIGHT]
            bare.append([each.bare for each in measured])
            _row(case.name, *[_ratio(each.request.over(each.bare)) for each in measured])
    _row(
        "bare read",
        *[f"{cost.cpu:.0f} us, {cost.latency:.1f} ms" for cost in map(best, zip(*bare, strict=True))],
    )


def _counted(calls: Calls) -> tuple[str, str, str, str]:
    return str(calls.of_store), str(calls.messages), str(calls.store_trips), str(calls.trips)


def _target(target: int | None) -> str:
    return "" if target is None else f"at most {target} to the store"


def _ratio(cost: Cost) -> str:
    return f"{cost.cpu:.1f}, {cost.latency:.1f}"


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _run() -> None:
    program = find_azurite()
    if program is None:
        sys.exit(HOW_TO_GET_IT)
    with AzuriteProcess(program) as azurite:
        # Azurite answers 64 at a time in a tenth of a second; nothing here is about a store that fails.
        store = open_table_store(azurite.connection_string, create_tables=True, deadline=10.0)
        queue = open_queue(azurite.connection_string, RESULTS_QUEUE, create=True)
        asyncio.run(main(store, queue))


if __name__ == "__main__":
    _run()
