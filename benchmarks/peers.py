"""The processes of a benchmark: a simulator of Face, and the servers that are measured over it."""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import azure.functions as func
import httpx

from local.azurite import AzuriteProcess
from local.host import Host
from local.simulator import FaceSimulator
from shared.app import App, build, install
from shared.settings import Settings

KEY = "benchmark-key"
SESSIONS_PATH = "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"

_ROOT = Path(__file__).parents[1]
_EXPRESS = _ROOT / "benchmarks" / "express"


@dataclass(frozen=True, slots=True)
class Peer:
    """A running process."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far; Linux alone tells it for another process."""
        # After the name of the program, which may have blanks: proc_pid_stat(5), fields 14 and 15.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def environment(simulator_url: str) -> dict[str, str]:
    """The settings of the broker under measurement: state in memory."""
    return {"FACE_ENDPOINT": simulator_url, "FACE_KEY": KEY, "CLIENT_AUTH": "none"}


COUNTS_ADDRESSES = {"CLIENT_ADDRESS": "appservice"}
"""As Bicep deploys the broker without Front Door."""


def stored_in(azurite: AzuriteProcess) -> dict[str, str]:
    """The settings of a broker with its state in tables and its messages in a queue."""
    return {"AzureWebJobsStorage": azurite.connection_string, "ID_PEPPER": "a-pepper"}


def install_broker(settings: dict[str, str]) -> App:
    """Build the app of the running event loop, without the limit of calls a second that would slow it down."""
    app = build(replace(Settings.from_mapping(settings), face_max_tps=1e6))
    install(app)
    return app


def pass_through(http: httpx.AsyncClient, simulator_url: str) -> func.FunctionApp:
    """The least that a function app does in the broker's place."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.function_name("pass_through")
    @app.route(route="sessions", methods=["POST"])
    async def trigger(req: func.HttpRequest) -> func.HttpResponse:
        return await forward(http, simulator_url, req)

    return app


def make_http_client() -> httpx.AsyncClient:
    """The client that such a proxy is written with, with httpx's own connections."""
    return httpx.AsyncClient(
        trust_env=False, limits=httpx.Limits(max_connections=64, max_keepalive_connections=64)
    )


async def forward(
    http: httpx.AsyncClient, simulator_url: str, request: func.HttpRequest
) -> func.HttpResponse:
    """Send one request on to Face with the key; no checks, no state."""
    answer = await http.post(
        simulator_url + SESSIONS_PATH,
        content=request.get_body(),
        headers={"Ocp-Apim-Subscription-Key": KEY, "Content-Type": "application/json"},
    )
    return func.HttpResponse(answer.content, status_code=answer.status_code, mimetype="application/json")


@contextmanager
def peer(kind: str, simulator_url: str = "") -> Iterator[Peer]:
    """Run the simulator, or a host with the broker or with a bare pass-through behind it."""
    with _process([sys.executable, "-m", "benchmarks.peers", kind, simulator_url]) as running:
        yield running


@contextmanager
def express(simulator_url: str) -> Iterator[Peer]:
    """Run the Express app; npm installs what it needs, once."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        sys.exit("Express needs Node.js and npm, which are not here.")
    if not (_EXPRESS / "node_modules").exists():
        command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=_EXPRESS, check=True, stdout=sys.stderr)  # noqa: S603
    with _process([node, str(_EXPRESS / "server.js"), simulator_url + SESSIONS_PATH, KEY]) as running:
        yield running


@contextmanager
def _process(command: list[str]) -> Iterator[Peer]:
    settings = os.environ | {"NODE_ENV": "production"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=settings)  # noqa: S603
    try:
        assert process.stdout is not None
        yield Peer(process.stdout.readline().strip(), process.pid)
    finally:
        process.terminate()
        process.communicate()


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
    settings = environment(simulator_url)
    install_broker(settings)
    os.environ.update(settings)
    from function_app import app

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["simulator", "broker", "pass-through"])
    parser.add_argument("simulator_url")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.kind, arguments.simulator_url))
