"""CPU and latency per create: our handler over a bare pass-through, called in turn in one process."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from unittest.mock import patch

import azure.functions as func

from benchmarks.peers import environment, forward, make_http_client
from shared.app import build, install
from shared.settings import Settings

ROUNDS = 15
CALLS = 100

Handle = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call: CPU time of this process and time until the answer, both in microseconds."""

    cpu: float
    latency: float


async def measure(simulator_url: str) -> tuple[Cost, Cost, Cost]:
    """The medians over all rounds of our handler and of the bare one, and the median of the rounds' ratios."""

    async def bare(request: func.HttpRequest) -> func.HttpResponse:
        return await forward(http, simulator_url, request)

    ours, peers = [], []
    async with make_http_client() as http, broker_trigger(environment(simulator_url)) as broker:
        await _round(broker)
        await _round(bare)
        for _ in range(ROUNDS):
            ours.append(await _round(broker))
            peers.append(await _round(bare))
    ratios = [Cost(a.cpu / b.cpu, a.latency / b.latency) for a, b in zip(ours, peers, strict=True)]
    return _median(ours), _median(peers), _median(ratios)


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


async def _round(handle: Handle) -> Cost:
    requests = [_request() for _ in range(CALLS)]
    latencies = []
    cpu = time.process_time()
    for request in requests:
        started = time.perf_counter()
        await _send(handle, request)
        latencies.append(time.perf_counter() - started)
    return Cost((time.process_time() - cpu) / CALLS * 1e6, median(latencies) * 1e6)


async def _send(handle: Handle, request: func.HttpRequest) -> None:
    response = await handle(request)
    assert response.status_code == 200, response.get_body()


def _request(**headers: str) -> func.HttpRequest:
    body = json.dumps({"livenessOperationMode": "Passive", "deviceCorrelationId": str(uuid.uuid4())}).encode()
    headers |= {"content-type": "application/json", "content-length": str(len(body))}
    return func.HttpRequest("POST", "http://localhost/api/sessions", headers=headers, body=body)


def _median(costs: list[Cost]) -> Cost:
    return Cost(median(cost.cpu for cost in costs), median(cost.latency for cost in costs))
