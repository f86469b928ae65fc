"""What a start costs: the import of the app over what any such app imports, and what waits for the first request."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.peers import environment

ROUNDS = 15

_ROOT = Path(__file__).parents[1]
_TIMED = "import time; s = time.process_time(); import {}; print(time.process_time() - s)"
_BUILT = """
import asyncio, time, function_app
from shared.app import build
from shared.settings import Settings

async def main():
    started = time.process_time()
    app = build(Settings.from_environment())
    print(time.process_time() - started)
    await app.aclose()

asyncio.run(main())
"""
_IN_AZURE = {
    "FACE_REGION": "westeurope",
    "KEY_VAULT_URL": "https://kv-example.vault.azure.net",
    "AzureWebJobsStorage__accountName": "stexample",
    "EVENT_GRID_TOPIC_ENDPOINT": "https://evgt-example.westeurope-1.eventgrid.azure.net/api/events",
    "CLIENT_AUTH": "none",
    "WEBSITE_SITE_NAME": "func-example",
}


@dataclass(frozen=True, slots=True)
class ImportTime:
    """Medians of CPU milliseconds, and the median of the ratios round by round.

    `built` is what the first request takes besides: the app with its SDKs, as in Azure; nothing is called.
    """

    ours: float
    bare: float
    ratio: float
    built: float


def measure() -> ImportTime:
    """Import in turn; the first round warms the file cache and is not counted."""
    ours, bare = [], []
    for _ in range(ROUNDS + 1):
        ours.append(_import("function_app"))
        bare.append(_import("azure.functions, httpx, pydantic"))
    ratios = [a / b for a, b in zip(ours[1:], bare[1:], strict=True)]
    built = [_milliseconds(_BUILT, _IN_AZURE) for _ in range(ROUNDS // 3)]
    return ImportTime(median(ours[1:]), median(bare[1:]), median(ratios), median(built))


def _import(modules: str) -> float:
    return _milliseconds(_TIMED.format(modules), environment("http://127.0.0.1:7072"))


def _milliseconds(program: str, app_settings: dict[str, str]) -> float:
    command = [sys.executable, "-c", program]
    settings = os.environ | app_settings
    done = subprocess.run(command, cwd=_ROOT, env=settings, capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout) * 1000
