"""Brokers as processes of their own, as the instances of a function app are."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

SOAK: Final = os.environ.get("SOAK") == "true"
"""Whether the long form of a test was asked for: `make soak`."""

_ROOT: Final = Path(__file__).parents[2]
# Only guards against a hang: a loaded machine takes its time.
_PATIENCE_SECONDS: Final = 60


@asynccontextmanager
async def running_processes(
    count: int, environment: Mapping[str, str]
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Start brokers with these app settings, each on a free port, and end them; answers a client for each.

    Nothing of this process's environment reaches them. Raises `RuntimeError` for one that does not start, or does
    not end in order.
    """
    processes: list[Process] = []
    async with AsyncExitStack() as resources:
        resources.push_async_callback(_end_all, processes)
        for _ in range(count):
            # One by one: those that were started are ended, whatever comes of the next.
            processes.append(await _started(environment))  # noqa: PERF401
        yield [
            await resources.enter_async_context(_client(await _url(process, environment)))
            for process in processes
        ]


async def _started(environment: Mapping[str, str]) -> Process:
    command = (sys.executable, "-m", "local", "serve", "--port", "0")
    return await asyncio.create_subprocess_exec(*command, cwd=_ROOT, env=environment, stdout=PIPE)


async def _end_all(processes: Sequence[Process]) -> None:
    statuses = await asyncio.gather(*map(_end, processes))
    if any(statuses):
        raise RuntimeError(f"brokers ended with {statuses}")


async def _end(process: Process) -> int | None:
    # Once only: a second signal would meet a process that has let go of its handlers.
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
    # No limit on connections, for callers that do not wait for each other.
    return httpx.AsyncClient(base_url=url, trust_env=False, limits=httpx.Limits(), timeout=_PATIENCE_SECONDS)
