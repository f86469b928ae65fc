"""Brokers as processes, like the instances of a function app."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.support.http import plain_client

SOAK: Final = os.environ.get("SOAK") == "true"
"""Whether tests run in their long form: `make soak`."""

_ROOT: Final = Path(__file__).parents[2]
# Guards against a hang only; a loaded machine is slow.
_PATIENCE_SECONDS: Final = 60
_SERVE: Final = (sys.executable, "-m", "local", "serve", "--port", "0")


@asynccontextmanager
async def running_processes(
    count: int, environment: Mapping[str, str], command: Sequence[str] = _SERVE
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Start brokers with these app settings, each on a free port, and end them; returns a client for each.

    They do not inherit this process's environment. `command` prints the broker's URL as its first line. Raises
    `RuntimeError` for a broker that does not start, or ends with an error.
    """
    processes: list[Process] = []
    async with AsyncExitStack() as resources:
        resources.push_async_callback(_end_all, processes)
        for _ in range(count):
            # One by one, so that the started ones are ended if the next fails.
            processes.append(await _started(environment, command))  # noqa: PERF401
        yield [
            await resources.enter_async_context(_client(await _url(process, environment)))
            for process in processes
        ]


async def _started(environment: Mapping[str, str], command: Sequence[str]) -> Process:
    return await asyncio.create_subprocess_exec(*command, cwd=_ROOT, env=environment, stdout=PIPE)


async def _end_all(processes: Sequence[Process]) -> None:
    statuses = await asyncio.gather(*map(_end, processes))
    if any(statuses):
        raise RuntimeError(f"brokers ended with {statuses}")


async def _end(process: Process) -> int | None:
    # Once only: a second signal would meet a process without signal handlers.
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
    return process.returncode


async def _url(process: Process, environment: Mapping[str, str]) -> str:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        line = await process.stdout.readline() if process.stdout else b""
    if not line:
        raise RuntimeError(f"a broker did not start with {sorted(environment)}")
    return line.decode().strip()


def _client(url: str) -> httpx.AsyncClient:
    # No limit on connections, because concurrent callers must not wait for each other.
    return plain_client(url, limits=httpx.Limits(), timeout=_PATIENCE_SECONDS)
