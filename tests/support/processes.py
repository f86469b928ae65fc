"""Brokers as processes of their own, as the instances of a function app are."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
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
    async with AsyncExitStack() as resources:
        processes = [await resources.enter_async_context(_process(environment)) for _ in range(count)]
        # All at once: they need not wait for each other's end.
        resources.callback(_terminate, *processes)
        yield [
            await resources.enter_async_context(_client(await _url(process, environment)))
            for process in processes
        ]


@asynccontextmanager
async def _process(environment: Mapping[str, str]) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local", "serve", "--port", "0"), cwd=_ROOT, env=environment, stdout=PIPE
    )
    try:
        yield process
    finally:
        await _end(process)


def _terminate(*processes: Process) -> None:
    for process in processes:
        if process.returncode is None:
            process.terminate()


async def _end(process: Process) -> None:
    _terminate(process)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
    if process.returncode:
        raise RuntimeError(f"a broker ended with {process.returncode}")


async def _url(process: Process, environment: Mapping[str, str]) -> str:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        line = await process.stdout.readline() if process.stdout else b""
    if not line:
        raise RuntimeError(f"a broker did not start with {sorted(environment)}")
    return line.decode().strip()


def _client(url: str) -> httpx.AsyncClient:
    # No limit on connections, for callers that do not wait for each other.
    return httpx.AsyncClient(base_url=url, trust_env=False, limits=httpx.Limits(), timeout=_PATIENCE_SECONDS)
