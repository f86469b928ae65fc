"""Fuzzes the parsers: `python -m tests.fuzz [TARGET ...] --executions N`.

Prints what each parser may raise, and how it went. It uses atheris where that is installed, and our own mutator
elsewhere.
"""

import argparse
import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

_ROOT = Path(__file__).parents[2]
_ENGINE = "tests.fuzz.guided" if find_spec("atheris") else "tests.fuzz.engine"


async def _fuzz(target: Target, arguments: argparse.Namespace, places: asyncio.Semaphore) -> bool:
    """Fuzz one parser in a process of its own; returns whether nothing was found."""
    command = (sys.executable, "-m", _ENGINE, target.name, str(arguments.executions), str(arguments.seed))
    async with places:
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdout=PIPE, stderr=STDOUT)
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
    declared = ", ".join(error.__name__ for error in target.declared) or "nothing"
    outcome = "ok" if process.returncode == 0 else "FOUND"
    seconds = time.monotonic() - started
    print(
        f"{outcome:6}{target.name:28}{arguments.executions:>10}{seconds:>7.0f} s  may raise {declared}",
        flush=True,
    )
    if process.returncode:
        print(output.decode(errors="replace")[-6_000:], flush=True)
    return process.returncode == 0


async def _fuzz_all(arguments: argparse.Namespace) -> bool:
    places = asyncio.Semaphore(arguments.jobs)
    chosen = [TARGETS[name] for name in arguments.targets or TARGETS]
    print(f"{len(chosen)} parsers, {arguments.jobs} at once, by {_ENGINE}", flush=True)
    outcomes = await asyncio.gather(*[_fuzz(target, arguments, places) for target in chosen])
    print(f"{outcomes.count(False)} of {len(outcomes)} parsers did what they must not do")
    return all(outcomes)


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets", metavar="TARGET", nargs="*", choices=[*TARGETS, []], help=", ".join(TARGETS)
    )
    parser.add_argument("--executions", type=int, default=1_000_000, help="of each parser")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="parsers at once")
    return 0 if asyncio.run(_fuzz_all(parser.parse_args())) else 1


if __name__ == "__main__":
    sys.exit(main())
