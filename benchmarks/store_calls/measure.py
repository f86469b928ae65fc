"""Round trips of one request; CPU and latency of many at a time, over those of a bare read."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.store_calls.bench import Bench
from benchmarks.store_calls.cases import BARE_READ, Case, Request
from shared.errors import DeviceThrottled
from shared.storage.port import Table

ROUNDS: Final = 3
CALLS: Final = 64
HERD: Final = 64
HERD_TARGET: Final = 5

_PREPARED_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of the store: all of them, and how many came one after another."""

    total: int
    in_sequence: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one request: CPU of this process in microseconds, and the median time to the answer in milliseconds."""

    cpu: float
    latency: float

    def over(self, other: "Cost") -> "Cost":
        """The ratios."""
        return Cost(self.cpu / other.cpu, self.latency / other.latency)


@dataclass(frozen=True, slots=True)
class Measured:
    """The medians of a bare read, and of the ratios to it, over all rounds."""

    bare: Cost
    ratio: Cost


async def count_calls(bench: Bench, case: Case) -> Calls:
    """Send one request of this kind, and nothing else."""
    request = await case.prepare(bench)
    bench.trips.clear()
    await request()
    return Calls(bench.trips.total(), bench.trips.in_sequence())


async def count_herd(bench: Bench) -> Calls:
    """Send many creates of one unknown device at once; answers the calls that the limiter made for all of them."""
    device = bench.device()
    bench.trips.clear()
    answers = await asyncio.gather(
        *(bench.create(bench.here, device) for _ in range(HERD)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, DeviceThrottled)]
    if len(refused) != HERD - 5:
        raise AssertionError(f"expected 5 to be admitted, and not {HERD - len(refused)}")
    return Calls(bench.trips.total(Table.THROTTLE), bench.trips.in_sequence(Table.THROTTLE))


async def measure(bench: Bench, case: Case, in_flight: int) -> Measured:
    """Send requests of this kind, so many at a time, and bare reads before and after them."""
    bare, ratios = [], []
    for _ in range(ROUNDS):
        ours, reads = await _prepare(bench, case), await _prepare(bench, BARE_READ)
        before = await _send(reads, in_flight)
        cost = await _send(ours, in_flight)
        after = await _send(reads, in_flight)
        bare.append(Cost((before.cpu + after.cpu) / 2, (before.latency + after.latency) / 2))
        ratios.append(cost.over(bare[-1]))
    return Measured(_median(bare), _median(ratios))


async def _prepare(bench: Bench, case: Case) -> list[Request]:
    requests: list[Request] = []
    while len(requests) < CALLS:
        requests += await asyncio.gather(*(case.prepare(bench) for _ in range(_PREPARED_AT_ONCE)))
    return requests


async def _send(requests: Sequence[Request], in_flight: int) -> Cost:
    left, latencies = iter(requests), list[float]()
    cpu = time.process_time()
    await asyncio.gather(*(_caller(left, latencies) for _ in range(in_flight)))
    return Cost((time.process_time() - cpu) / len(requests) * 1e6, median(latencies) * 1e3)


async def _caller(left: Iterator[Request], latencies: list[float]) -> None:
    for request in left:
        began = time.perf_counter()
        await request()
        latencies.append(time.perf_counter() - began)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(median(cost.cpu for cost in costs), median(cost.latency for cost in costs))
