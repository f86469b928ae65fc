"""Creates over HTTP, their rate and CPU time: the broker and a bare pass-through behind the local host, and Express."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import aiohttp

from benchmarks.load import ratio, send_all, table
from benchmarks.peers import Peer, express, peer
from benchmarks.plot import draw

IN_FLIGHT = (1, 4, 16, 64)
ROUNDS = 7
CALLS = 512

TARGETS = {16: "0.90"}


@dataclass(frozen=True, slots=True)
class Rate:
    """Creates a second, and the CPU time of the server's process for each, in microseconds."""

    per_second: float
    cpu: float


async def measure(plot: Path) -> str:
    """Send creates to the three in turn; also draws their CPU time."""
    results: list[list[dict[str, Rate]]] = []
    with (
        peer("simulator") as simulator,
        peer("broker", simulator.url) as broker,
        peer("pass-through", simulator.url) as bare,
        express(simulator.url) as node,
    ):
        servers = {"broker": broker, "pass-through": bare, "Express": node}
        for in_flight in IN_FLIGHT:
            rounds = [
                {name: await _load(server, in_flight) for name, server in servers.items()}
                for _ in range(ROUNDS + 1)
            ]
            # The first round opens connections, and lets Node compile.
            results.append(rounds[1:])
    medians = [{name: _median([each[name] for each in rounds]) for name in servers} for rounds in results]
    draw(plot, IN_FLIGHT, {name: [rates[name].cpu for rates in medians] for name in servers})
    rows = [
        [
            in_flight,
            *(f"{rate.per_second:.0f} ({rate.cpu:.0f})" for rate in rates.values()),
            f"{ratio([(each['broker'].per_second, each['Express'].per_second) for each in rounds]):.2f}",
            TARGETS.get(in_flight, ""),
        ]
        for in_flight, rates, rounds in zip(IN_FLIGHT, medians, results, strict=True)
    ]
    head = ["in flight", *(f"{name} /s (CPU, us)" for name in servers), "broker over Express", "target"]
    return table(head, *rows)


async def _load(server: Peer, in_flight: int) -> Rate:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:
        send = _create(session, server.url)
        cpu, began = server.cpu_seconds(), perf_counter()
        await send_all(send, CALLS, in_flight)
        seconds = perf_counter() - began
        return Rate(CALLS / seconds, (server.cpu_seconds() - cpu) / CALLS * 1e6)


def _create(session: aiohttp.ClientSession, url: str) -> Callable[[], Awaitable[None]]:
    async def send() -> None:
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": str(uuid.uuid4())}
        async with session.post(f"{url}/api/sessions", json=body) as answer:
            content = await answer.read()
            assert answer.status == 200, content

    return send


def _median(rates: Sequence[Rate]) -> Rate:
    return Rate(median(rate.per_second for rate in rates), median(rate.cpu for rate in rates))
