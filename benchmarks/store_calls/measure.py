"""Calls of one request, and of a herd; CPU and latency of many at a time, over those of a bare read."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.store_calls.bench import Bench
from benchmarks.store_calls.cases import BARE_READ, Case, Request
from shared.errors import DeviceThrottled, StorageUnavailable
from shared.storage.port import Table

ROUNDS: Final = 4
CALLS: Final = 64
HERD: Final = 64
HERD_TARGET: Final = 5
ADMITTED: Final = 5

_PREPARED_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of the store and messages sent.

    `store_trips` is how many calls of the store came one after another, `trips` how many calls of both did.
    """

    of_store: int
    messages: int
    store_trips: int
    trips: int


@dataclass(frozen=True, slots=True)
class HerdCalls:
    """What a herd cost in all; and the calls, in so many round trips, that decided who was admitted.

    There are no trips in all: what one request of the herd does and another one does wait for nothing but the throttle.
    """

    of_store: int
    messages: int
    throttle_calls: int
    throttle_trips: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one request: CPU of this process in microseconds, and the median time to its answer in milliseconds."""

    cpu: float
    latency: float

    def over(self, other: "Cost") -> "Cost":
        """The ratios."""
        return Cost(self.cpu / other.cpu, self.latency / other.latency)


@dataclass(frozen=True, slots=True)
class Measured:
    """The best round of a bare read, and of the request: others load the machine, and only ever slow a round down."""

    bare: Cost
    request: Cost


async def count_calls(bench: Bench, case: Case) -> Calls:
    """Send one request of this kind, and nothing else."""
    request = await case.prepare(bench)
    bench.trips.clear()
    await request()
    return _calls(bench)


async def count_herd(bench: Bench) -> HerdCalls:
    """Send many creates of one unknown device at once, of which five are admitted."""
    device = bench.device()
    bench.trips.clear()
    answers = await asyncio.gather(
        *(bench.create(bench.here, device) for _ in range(HERD)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, DeviceThrottled)]
    if len(refused) != HERD - ADMITTED:
        raise AssertionError(f"expected {ADMITTED} to be admitted, and not {HERD - len(refused)}")
    trips, throttle = bench.trips, Table.THROTTLE
    return HerdCalls(trips.total(), trips.messages, trips.total(throttle), trips.in_sequence(throttle))


async def measure(bench: Bench, case: Case, in_flight: int) -> Measured:
    """Send requests of this kind, so many at a time, in turn with bare reads."""
    bare, ours = [], []
    for _ in range(ROUNDS):
        requests, reads = await _prepare(bench, case), await _prepare(bench, BARE_READ)
        bare.append(await _send(reads, in_flight))
        ours.append(await _send(requests, in_flight))
        bare.append(await _send(reads, in_flight))
    return Measured(best(bare), best(ours))


def best(costs: Sequence[Cost]) -> Cost:
    """The lowest of each."""
    return Cost(min(cost.cpu for cost in costs), min(cost.latency for cost in costs))


def _calls(bench: Bench) -> Calls:
    trips = bench.trips
    return Calls(trips.total(), trips.messages, trips.in_sequence(*Table), trips.in_sequence())


async def _prepare(bench: Bench, case: Case) -> list[Request]:
    requests: list[Request] = []
    while len(requests) < CALLS:
        requests += await asyncio.gather(*(_prepare_one(bench, case) for _ in range(_PREPARED_AT_ONCE)))
    return requests


async def _prepare_one(bench: Bench, case: Case) -> Request:
    try:
        return await case.prepare(bench)
    except StorageUnavailable:
        # Azurite closes what was idle for five seconds, and a message is sent once: the next connection is a new one.
        return await case.prepare(bench)


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
