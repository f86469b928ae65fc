"""The processes of a benchmark: a simulator, and a host with either the broker or a bare pass-through behind it."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import azure.functions as func
import httpx

from local.host import Host
from local.simulator import FaceSimulator

KEY = "benchmark-key"
SESSIONS_PATH = "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"

_ROOT = Path(__file__).parents[1]


def environment(simulator_url: str) -> dict[str, str]:
    """The settings of the broker under measurement: in-memory stores, and no budget that would slow it down."""
    return {"FACE_ENDPOINT": simulator_url, "FACE_KEY": KEY, "FACE_MAX_TPS": "1000", "CLIENT_AUTH": "none"}


def pass_through(http: httpx.AsyncClient, simulator_url: str) -> func.FunctionApp:
    """The least that a proxy does: hand the body on with the key, hand the answer back; no checks, no state."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.function_name("pass_through")
    @app.route(route="sessions", methods=["POST"])
    async def trigger(req: func.HttpRequest) -> func.HttpResponse:
        return await forward(http, simulator_url, req)

    return app


def make_http_client() -> httpx.AsyncClient:
    """The client that such a proxy is written with, over the broker's own connections."""
    return httpx.AsyncClient(
        trust_env=False, limits=httpx.Limits(max_connections=64, max_keepalive_connections=64)
    )


async def forward(
    http: httpx.AsyncClient, simulator_url: str, request: func.HttpRequest
) -> func.HttpResponse:
    """Send one request on to Face."""
    answer = await http.post(
        simulator_url + SESSIONS_PATH,
        content=request.get_body(),
        headers={"Ocp-Apim-Subscription-Key": KEY, "Content-Type": "application/json"},
    )
    return func.HttpResponse(answer.content, status_code=answer.status_code, mimetype="application/json")


@contextmanager
def peer(kind: str, simulator_url: str = "") -> Iterator[str]:
    """Run a peer in a process of its own; gives its URL."""
    command = [sys.executable, "-m", "benchmarks.peers", kind, simulator_url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)  # noqa: S603 - our own module.
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout:
            process.stdout.close()


async def _serve(kind: str, simulator_url: str) -> None:
    if kind == "simulator":
        simulator = FaceSimulator(key=KEY)
        await simulator.start()
        print(simulator.url, flush=True)
    else:
        host = Host(
            _app(kind, simulator_url),
            json.loads((_ROOT / "host.json").read_text()),
            function_key="function-key",
            master_key="master-key",
        )
        await host.start()
        print(host.url, flush=True)
    await asyncio.Event().wait()


def _app(kind: str, simulator_url: str) -> func.FunctionApp:
    if kind == "pass-through":
        return pass_through(make_http_client(), simulator_url)
    os.environ.update(environment(simulator_url))
    from function_app import app

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["simulator", "broker", "pass-through"])
    parser.add_argument("simulator_url")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.kind, arguments.simulator_url))
