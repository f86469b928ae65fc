"""The CPU time of one create: our trigger beside a bare pass-through, called in turn in one process."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from random import getrandbits

import azure.functions as func

from benchmarks.load import IN_FLIGHT, compare, table
from benchmarks.peers import environment, forward, install_broker, make_http_client, peer

TARGETS = {1: "1.00", 16: "0.60"}

Handle = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


async def measure() -> str:
    """Measure both for each number of calls in flight; state is in memory."""
    with peer("simulator") as simulator:

        async def bare(request: func.HttpRequest) -> func.HttpResponse:
            return await forward(http, simulator.url, request)

        async with make_http_client() as http, broker_trigger(environment(simulator.url)) as broker:
            rows = [
                (
                    in_flight,
                    *await compare(lambda: create(broker), lambda: create(bare), in_flight),
                    TARGETS.get(in_flight, ""),
                )
                for in_flight in IN_FLIGHT
            ]
    return table(("in flight", "broker, us", "bare pass-through, us", "ratio", "target"), *rows)


@asynccontextmanager
async def broker_trigger(settings: dict[str, str]) -> AsyncIterator[Handle]:
    """Build the app; gives the trigger of create, without the decorators of the v2 programming model."""
    from create_session.trigger import trigger

    app = install_broker(settings)
    yield trigger._function.get_user_function()
    await app.aclose()


async def create(handle: Handle, **headers: str) -> None:
    """Send one create, from a device and an address of its own: the throttle decides and admits."""
    body = json.dumps({"livenessOperationMode": "Passive", "deviceCorrelationId": str(uuid.uuid4())}).encode()
    headers |= {
        "content-type": "application/json",
        "content-length": str(len(body)),
        # Read where `CLIENT_ADDRESS` is `appservice`.
        "client-ip": str(IPv4Address(getrandbits(32))),
    }
    request = func.HttpRequest("POST", "http://localhost/api/sessions", headers=headers, body=body)
    response = await handle(request)
    assert response.status_code == 200, response.get_body()
