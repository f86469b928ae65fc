"""`make bench`: prints a table; docs/performance.md holds one."""

import asyncio
import platform

from benchmarks import create_cost, import_time, sign_in_cost, throughput
from benchmarks.peers import peer


async def main() -> None:
    """Measure one thing after the other and print it."""
    print(
        f"Python {platform.python_version()}, {platform.machine()}; medians; ratios are taken round by round\n"
    )
    with peer("simulator") as simulator_url:
        await create_cost.print_table(simulator_url)
        await sign_in_cost.print_table(simulator_url)
        import_time.print_table()
        await throughput.print_table(simulator_url)


if __name__ == "__main__":
    asyncio.run(main())
