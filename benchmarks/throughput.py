"""Creates a second through the local host at some in flight: the broker beside a bare pass-through."""

import asyncio
import time
import uuid
from collections.abc import Iterator, Sequence
from statistics import median, quantiles

import aiohttp

from benchmarks.peers import peer

IN_FLIGHT = (1, 16, 64)
ROUNDS = 5
CALLS = 320


Rate = tuple[float, float, float]
"""Answers a second, and the median and the 99th percentile of the milliseconds until an answer."""


async def print_table(simulator_url: str) -> None:
    """Print the broker's rate and the bare one's for each number in flight: medians over the rounds."""
    print("| creates through the local host | broker /s (p50, p99 ms) | bare /s (p50, p99 ms) | ratio /s |")
    print("| --- | --- | --- | --- |")
    with peer("broker", simulator_url) as broker, peer("pass-through", simulator_url) as bare:
        for in_flight in IN_FLIGHT:
            rounds = [
                (await _load(broker, in_flight), await _load(bare, in_flight)) for _ in range(ROUNDS + 1)
            ]
            # The first round warms both up.
            ours, peers = (_median(rates) for rates in zip(*rounds[1:], strict=True))
            cells = " | ".join(f"{rate:.0f} ({p50:.1f}, {p99:.1f})" for rate, p50, p99 in (ours, peers))
            print(f"| {in_flight} in flight | {cells} | {ours[0] / peers[0]:.2f} |", flush=True)


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
    return CALLS / took, cuts[49] * 1000, cuts[98] * 1000


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


def _median(rates: Sequence[Rate]) -> Rate:
    per_second, p50, p99 = (median(figures) for figures in zip(*rates, strict=True))
    return per_second, p50, p99
