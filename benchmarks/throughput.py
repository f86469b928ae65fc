"""Creates a second through the local host at some in flight: the broker beside a bare pass-through."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median, quantiles

import aiohttp

from benchmarks.peers import peer

IN_FLIGHT = (1, 16, 64)
ROUNDS = 5
CALLS = 320


@dataclass(frozen=True, slots=True)
class Rate:
    """Answers a second, and the time until an answer in milliseconds."""

    per_second: float
    p50: float
    p99: float


async def measure(simulator_url: str) -> dict[int, tuple[Rate, Rate]]:
    """For each number in flight: the broker's rate and the bare one's, medians over the rounds."""
    with peer("broker", simulator_url) as broker, peer("pass-through", simulator_url) as bare:
        return {number: (await _both(broker, bare, number)) for number in IN_FLIGHT}


async def _both(broker: str, bare: str, in_flight: int) -> tuple[Rate, Rate]:
    ours, peers = [], []
    for counted in range(ROUNDS + 1):
        mine, theirs = await _load(broker, in_flight), await _load(bare, in_flight)
        if counted:
            ours.append(mine)
            peers.append(theirs)
    return _median(ours), _median(peers)


async def _load(url: str, in_flight: int) -> Rate:
    latencies: list[float] = []
    left = iter(range(CALLS))
    # The bare peer hands on what it gets; both get the same bodies.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:
        started = time.perf_counter()
        await asyncio.gather(
            *(_caller(session, f"{url}/api/sessions", left, latencies) for _ in range(in_flight))
        )
        took = time.perf_counter() - started
    cuts = quantiles(latencies, n=100)
    return Rate(CALLS / took, cuts[49] * 1000, cuts[98] * 1000)


async def _caller(
    session: aiohttp.ClientSession, url: str, left: Iterator[int], latencies: list[float]
) -> None:
    for _ in left:
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": str(uuid.uuid4())}
        started = time.perf_counter()
        async with session.post(url, json=body) as answer:
            content = await answer.read()
            assert answer.status == 200, content
        latencies.append(time.perf_counter() - started)


def _median(rates: list[Rate]) -> Rate:
    return Rate(
        median(rate.per_second for rate in rates),
        median(rate.p50 for rate in rates),
        median(rate.p99 for rate in rates),
    )
