"""What a start costs: the import of the app over what any such app imports, and what waits for the first request."""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.peers import environment

ROUNDS = 15

_ROOT = Path(__file__).parents[1]
_IMPORT = "import time; s = time.process_time(); import {}; print(time.process_time() - s)"
_BUILD = """
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


def print_table() -> None:
    """Print the CPU time of both imports, and of the app with its SDKs, as in Azure; nothing is called.

    The first round warms the file cache and is not counted.
    """
    settings, modules = environment("http://127.0.0.1:7072"), "azure.functions, httpx, pydantic"
    rounds = [
        (
            _milliseconds(_IMPORT.format("function_app"), settings),
            _milliseconds(_IMPORT.format(modules), settings),
        )
        for _ in range(ROUNDS + 1)
    ][1:]
    ours, bare = (median(times) for times in zip(*rounds, strict=True))
    ratio = median(mine / other for mine, other in rounds)
    built = median(_milliseconds(_BUILD, _IN_AZURE) for _ in range(ROUNDS // 3))
    print(f"| start, CPU ms | broker | {modules} | ratio | target |")
    print("| --- | --- | --- | --- | --- |")
    print(f"| import of function_app | {ours:.0f} | {bare:.0f} | {ratio:.2f} | 1.30 |")
    print(f"| first request besides, with the SDKs of Azure | {built:.0f} | | | |\n", flush=True)


def _milliseconds(program: str, app_settings: dict[str, str]) -> float:
    command = [sys.executable, "-c", program]
    settings = os.environ | app_settings
    done = subprocess.run(command, cwd=_ROOT, env=settings, capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout) * 1000
