"""Import time of the app over what any such app imports: fresh interpreters in turn."""

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


@dataclass(frozen=True, slots=True)
class ImportTime:
    """Medians of CPU milliseconds, and the median of the ratios round by round."""

    ours: float
    bare: float
    ratio: float


def measure() -> ImportTime:
    """Import in turn; the first round warms the file cache and is not counted."""
    ours, bare = [], []
    for _ in range(ROUNDS + 1):
        ours.append(_import("function_app"))
        bare.append(_import("azure.functions, httpx, pydantic"))
    ratios = [a / b for a, b in zip(ours[1:], bare[1:], strict=True)]
    return ImportTime(median(ours[1:]), median(bare[1:]), median(ratios))


def _import(modules: str) -> float:
    command = [sys.executable, "-c", _TIMED.format(modules)]
    settings = os.environ | environment("http://127.0.0.1:7072")
    done = subprocess.run(command, cwd=_ROOT, env=settings, capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout) * 1000
