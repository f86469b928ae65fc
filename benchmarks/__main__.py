"""`make bench`: prints a table; docs/performance.md holds one."""

import asyncio
import platform

from benchmarks import create_cost, import_time, throughput
from benchmarks.peers import peer


async def main() -> None:
    """Measure one thing after the other and print it."""
    print(
        f"Python {platform.python_version()}, {platform.machine()}; medians; ratios are taken round by round\n"
    )
    with peer("simulator") as simulator_url:
        await _print_create_cost(simulator_url)
        _print_import_time()
        await _print_throughput(simulator_url)


async def _print_create_cost(simulator_url: str) -> None:
    ours, bare, ratio = await create_cost.measure(simulator_url)
    print("| one create, in-memory stores | broker | bare pass-through | ratio | target |")
    print("| --- | --- | --- | --- | --- |")
    print(f"| CPU of the process, us | {ours.cpu:.0f} | {bare.cpu:.0f} | {ratio.cpu:.2f} | 1.50 |")
    print(
        f"| latency, us | {ours.latency:.0f} | {bare.latency:.0f} | {ratio.latency:.2f} | 1.50 |\n",
        flush=True,
    )


def _print_import_time() -> None:
    times = import_time.measure()
    print("| start, CPU ms | broker | azure.functions, httpx, pydantic | ratio | target |")
    print("| --- | --- | --- | --- | --- |")
    print(f"| import of function_app | {times.ours:.0f} | {times.bare:.0f} | {times.ratio:.2f} | 1.30 |")
    print(f"| first request besides, with the SDKs of Azure | {times.built:.0f} | | | |\n", flush=True)


async def _print_throughput(simulator_url: str) -> None:
    print("| creates through the local host | broker /s (p50, p99 ms) | bare /s (p50, p99 ms) | ratio /s |")
    print("| --- | --- | --- | --- |")
    for in_flight, (ours, bare) in (await throughput.measure(simulator_url)).items():
        print(
            f"| {in_flight} in flight | {ours.per_second:.0f} ({ours.p50:.1f}, {ours.p99:.1f}) "
            f"| {bare.per_second:.0f} ({bare.p50:.1f}, {bare.p99:.1f}) | {ours.per_second / bare.per_second:.2f} |"
        )


if __name__ == "__main__":
    asyncio.run(main())
