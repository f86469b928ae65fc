"""CPU and latency per create: our handler over a bare pass-through, called in turn in one process."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from statistics import median
from unittest.mock import patch

import azure.functions as func

from benchmarks.peers import environment, forward, make_http_client
from shared.app import build, install
from shared.settings import Settings

ROUNDS = 15
CALLS = 100

Handle = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


async def print_table(simulator_url: str) -> None:
    """Print the medians over all rounds of our handler and of the bare one, and the median of the rounds' ratios."""

    async def bare(request: func.HttpRequest) -> func.HttpResponse:
        return await forward(http, simulator_url, request)

    ours, peers = [], []
    async with make_http_client() as http, broker_trigger(environment(simulator_url)) as broker:
        await _round(broker)
        await _round(bare)
        for _ in range(ROUNDS):
            ours.append(await _round(broker))
            peers.append(await _round(bare))
    ratios = [
        [mine / bare for mine, bare in zip(*both, strict=True)] for both in zip(ours, peers, strict=True)
    ]
    print("| one create, in-memory stores | broker | bare pass-through | ratio | target |")
    print("| --- | --- | --- | --- | --- |")
    for number, name in enumerate(("CPU of the process, us", "latency, us")):
        mine, other, ratio = (median(cost[number] for cost in costs) for costs in (ours, peers, ratios))
        print(f"| {name} | {mine:.0f} | {other:.0f} | {ratio:.2f} | 1.50 |")
    print(flush=True)


@asynccontextmanager
async def broker_trigger(settings: Mapping[str, str]) -> AsyncIterator[Handle]:
    """Build the app; gives the trigger of create, without the decorators of the v2 programming model."""
    app = build(Settings.from_mapping(settings))
    install(app)
    with patch.dict("os.environ", settings):
        from create_session.trigger import trigger
    yield trigger._function.get_user_function()
    await app.aclose()


async def create(handle: Handle, **headers: str) -> None:
    """Send one create, from a device of its own: the throttle decides and admits."""
    await _send(handle, _request(**headers))


async def _round(handle: Handle) -> tuple[float, float]:
    """Of one call: CPU time of this process and time until the answer, both in microseconds."""
    requests = [_request() for _ in range(CALLS)]
    latencies = []
    cpu = time.process_time()
    for request in requests:
        started = time.perf_counter()
        await _send(handle, request)
        latencies.append(time.perf_counter() - started)
    return (time.process_time() - cpu) / CALLS * 1e6, median(latencies) * 1e6


async def _send(handle: Handle, request: func.HttpRequest) -> None:
    response = await handle(request)
    assert response.status_code == 200, response.get_body()


def _request(**headers: str) -> func.HttpRequest:
    body = json.dumps({"livenessOperationMode": "Passive", "deviceCorrelationId": str(uuid.uuid4())}).encode()
    headers |= {"content-type": "application/json", "content-length": str(len(body))}
    return func.HttpRequest("POST", "http://localhost/api/sessions", headers=headers, body=body)
