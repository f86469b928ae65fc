"""One cold start in a process of its own: `python -m benchmarks.cold_child APP PACKAGES FUNCTION [BODY]`.

Prints CPU and wall time in seconds: of indexing and loading, and of the first request. The imports of this module and
of the engine are not measured; in Azure they are done before an app is assigned to the worker.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from tests.support.engine import require_runtime, start_engine


async def main(app: str, packages: str, function: str, body: str = "") -> None:
    """Index the app in the folder `app`, and call one function."""
    require_runtime()
    # As in Azure, nothing else is there: some packages import more where others are installed.
    sys.path[:] = [app, packages, *(path for path in sys.path if "site-packages" not in path)]
    moments = [(time.process_time(), time.perf_counter())]
    engine = await start_engine(Path(app))
    moments.append((time.process_time(), time.perf_counter()))
    method, headers = ("POST", {"Content-Type": "application/json"}) if body else ("GET", {})
    answer = await engine.http(function, method, "http://x/api", headers=headers, body=body.encode())
    moments.append((time.process_time(), time.perf_counter()))
    assert answer.status == 200, answer.body
    print(json.dumps([[cpu, wall] for cpu, wall in moments]))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
