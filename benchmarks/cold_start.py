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

ROUNDS = 9

_ROOT = Path(__file__).parents[1]
_BARE = """
import azure.functions as func
{imports}

app = func.FunctionApp()


@app.route(route="bare")
async def bare(req: func.HttpRequest) -> func.HttpResponse:
    {work}
    return func.HttpResponse("ok")
"""
_PACKAGES = """
import aiohttp
from pydantic import BaseModel
"""
# pydantic loads most of itself with the first model.
_MODEL = """
class Body(BaseModel):
    livenessOperationMode: str
    deviceCorrelationId: str
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

Start = Sequence[tuple[float, float]]
"""CPU and wall time in seconds: when it began, when the functions were loaded, and when the answer was there."""


async def measure() -> str:
    """Build the package, and start each app in turn, each time in a new process."""
    with tempfile.TemporaryDirectory() as folder, peer("simulator") as simulator:
        apps = _unpack(Path(folder))
        local = environment(simulator.url)
        rows = []
        for name, settings, function, body, bare in (
            ("create, state in memory", local, "create_session", _CREATE, "bare-with-body"),
            ("health, settings of Azure", _IN_AZURE, "health", "", "bare-with-sdks"),
        ):
            rounds = [
                (_start(apps, "app", settings, function, body), _start(apps, bare, {}, "bare", body))
                for _ in range(ROUNDS + 1)
            ]
            del rounds[0]  # It fills the cache of files.
            ours, theirs = zip(*rounds, strict=True)
            costs = [_cost(ours, 0, 1), _cost(ours, 1, 2), _cost(ours, 0, 2), _cost(theirs, 0, 2)]
            over = ratio([(mine[2][0] - mine[0][0], other[2][0] - other[0][0]) for mine, other in rounds])
            rows.append((name, *costs, f"{over:.2f}", "1.30"))
    steps = ("indexing: CPU (wall), ms", "first request", "both", "both, bare app")
    return table(("cold start", *steps, "ratio of CPU", "target"), *rows)


def _unpack(folder: Path) -> Path:
    archive = folder / "broker.zip"
    with redirect_stdout(io.StringIO()):
        package.main(["--output", str(archive)])
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder / "app")
    for name, imports, work in (
        ("bare-with-body", _PACKAGES + _MODEL, "Body.model_validate_json(req.get_body())"),
        ("bare-with-sdks", _PACKAGES + _SDKS, ""),
    ):
        (folder / name).mkdir()
        (folder / name / "host.json").write_bytes((_ROOT / "host.json").read_bytes())
        (folder / name / "function_app.py").write_text(_BARE.format(imports=imports, work=work))
    return folder


def _start(apps: Path, app: str, app_settings: dict[str, str], *call: str) -> Start:
    packages = apps / "app" / package.SITE_PACKAGES
    command = [sys.executable, "-m", "benchmarks.cold_child", str(apps / app), str(packages), *call]
    # The bytecode is that of the package: in Azure the folder of the app cannot be written to.
    settings = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | app_settings
    done = subprocess.run(command, cwd=_ROOT, env=settings, capture_output=True, text=True, check=True)  # noqa: S603
    start: Start = json.loads(done.stdout)
    return start


def _cost(starts: Sequence[Start], begin: int, end: int) -> str:
    cpu, wall = (median(start[end][kind] - start[begin][kind] for start in starts) * 1000 for kind in (0, 1))
    return f"{cpu:.0f} ({wall:.0f})"
