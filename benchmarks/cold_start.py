"""A cold start from the built package with the production engine: the broker beside a bare app over its packages."""

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median

from benchmarks.load import ratio, table
from benchmarks.peers import environment, peer
from scripts import package

ROUNDS = 15

_ROOT = Path(__file__).parents[1]
_BARE = """
import azure.functions as func
{imports}

app = func.FunctionApp()


@app.route(route="bare")
async def bare(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("ok")
"""
_PACKAGES = """
import aiohttp, httpx
from pydantic import BaseModel
"""
_SDKS = """
from azure.data.tables.aio import TableServiceClient
from azure.eventgrid.aio import EventGridPublisherClient
from azure.identity.aio import ManagedIdentityCredential
from azure.keyvault.secrets.aio import SecretClient
from azure.storage.queue.aio import QueueClient
"""
_IN_AZURE = {
    "FACE_REGION": "westeurope",
    "KEY_VAULT_URL": "https://kv-example.vault.azure.net",
    "AzureWebJobsStorage__accountName": "stexample",
    "EVENT_GRID_TOPIC_ENDPOINT": "https://evgt-example.westeurope-1.eventgrid.azure.net/api/events",
    "CLIENT_AUTH": "none",
    "WEBSITE_SITE_NAME": "func-example",
}
_CREATE = json.dumps({"livenessOperationMode": "Passive", "deviceCorrelationId": "a-device"})

# CPU and wall time in milliseconds: until the functions are loaded, until the first answer, and both together.
Start = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


async def measure() -> str:
    """Build the package, and start each app in turn, each time in a new process."""
    with tempfile.TemporaryDirectory() as folder, peer("simulator") as simulator:
        apps = _unpack(Path(folder))
        local = environment(simulator.url)
        rows: list[Sequence[object]] = []
        for name, settings, call, bare in (
            ("create, state in memory", local, ("create_session", _CREATE), "bare"),
            ("settings of Azure, health", _IN_AZURE, ("health",), "bare-with-sdks"),
        ):
            rounds = [
                (_start(apps, "app", settings, *call), _start(apps, bare, {}, "bare"))
                for _ in range(ROUNDS + 1)
            ][1:]  # The first round fills the cache of files.
            rows += _rows(name, rounds)
    return table(("cold start", "broker: CPU (wall), ms", "bare", "ratio of CPU", "target"), *rows)


def _unpack(folder: Path) -> Path:
    archive = folder / "broker.zip"
    with redirect_stdout(io.StringIO()):
        package.main(["--output", str(archive)])
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder / "app")
    for name, imports in (("bare", _PACKAGES), ("bare-with-sdks", _PACKAGES + _SDKS)):
        (folder / name).mkdir()
        (folder / name / "host.json").write_bytes((_ROOT / "host.json").read_bytes())
        (folder / name / "function_app.py").write_text(_BARE.format(imports=imports))
    return folder


def _start(apps: Path, app: str, app_settings: dict[str, str], *call: str) -> Start:
    packages = apps / "app" / package.SITE_PACKAGES
    command = [sys.executable, "-m", "benchmarks.cold_child", str(apps / app), str(packages), *call]
    # The bytecode is that of the package: in Azure the folder of the app cannot be written to.
    settings = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | app_settings
    done = subprocess.run(command, cwd=_ROOT, env=settings, capture_output=True, text=True, check=True)  # noqa: S603
    began, indexed, answered = json.loads(done.stdout)
    return _between(began, indexed), _between(indexed, answered), _between(began, answered)


def _between(begin: Sequence[float], end: Sequence[float]) -> tuple[float, float]:
    return (end[0] - begin[0]) * 1000, (end[1] - begin[1]) * 1000


def _rows(name: str, rounds: Sequence[tuple[Start, Start]]) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = []
    for step, of in enumerate(("indexing", "first request", "both")):
        ours, bare = ([start[step] for start in starts] for starts in zip(*rounds, strict=True))
        over = [(mine[0], other[0]) for mine, other in zip(ours, bare, strict=True)]
        last = (f"{ratio(over):.2f}", "1.30") if of == "both" else ("", "")
        rows.append((f"{name}: {of}", _shown(ours), _shown(bare), *last))
    return rows


def _shown(times: Sequence[tuple[float, float]]) -> str:
    cpu, wall = (median(figures) for figures in zip(*times, strict=True))
    return f"{cpu:.0f} ({wall:.0f})"
