"""`python -m benchmarks.store_calls`: counts over Azurite, and prints the table of docs/performance.md."""

import asyncio
import sys

from benchmarks.store_calls.bench import CASES, HERD, Bench, Counted, count_calls, count_herd
from local.azurite import HOW_TO_GET_IT, AzuriteProcess, find_azurite
from shared.queues.port import RESULTS_QUEUE, MessageQueue
from shared.storage.port import EntityStore


async def main(store: EntityStore, queue: MessageQueue) -> None:
    """Count over a store and a queue, which are closed in the end."""
    bench = Bench(store, queue)
    try:
        _row("calls of one request", "of the store", "of the queue", "trips to the store", "trips to both")
        _row(*["---"] * 5)
        for case in CASES:
            _counted(case, await count_calls(bench, case))
        everything, throttle = await count_herd(bench)
        _row(f"{HERD} creates of one device at once", str(everything.of_store), str(everything.messages))
        _counted(f"{HERD} creates of one device at once, throttle rows", throttle)
    finally:
        await store.aclose()
        await queue.aclose()


def _counted(name: str, calls: Counted) -> None:
    _row(name, str(calls.of_store), str(calls.messages), str(calls.store_trips), str(calls.trips))


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _run() -> None:
    program = find_azurite()
    if program is None:
        sys.exit(HOW_TO_GET_IT)
    with AzuriteProcess(program) as azurite:
        # Azurite answers 64 at a time in a tenth of a second; nothing here is about a store that fails.
        store = azurite.account.open_tables(deadline=10.0)
        queue = azurite.account.open_queue(RESULTS_QUEUE)
        asyncio.run(main(store, queue))


if __name__ == "__main__":
    _run()
