"""Readiness: each thing that the app cannot do without, asked for a sign of life."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.app import App
from shared.errors import BrokerError


@dataclass(frozen=True, slots=True)
class Dependency:
    """One thing that the app needs; `problem` is None where it answers, else an error code and what is known."""

    name: str
    problem: str | None


async def check_dependencies(app: App, request_id: str) -> list[Dependency]:
    """Ask them all at the same time; the check of Face also proves endpoint and credential, for one transaction."""
    checks: dict[str, Callable[[], Awaitable[object]]] = {
        "face": lambda: app.face.check(request_id),
        "storage": app.store.check,
        "queue": app.queue.check,
        "secrets": lambda: app.pseudonyms.of("check"),
    }
    return list(await asyncio.gather(*(_check(name, check) for name, check in checks.items())))


async def _check(name: str, check: Callable[[], Awaitable[object]]) -> Dependency:
    try:
        await check()
    except BrokerError as error:
        return Dependency(name, f"{error.code}: {error.detail}" if error.detail else error.code)
    return Dependency(name, None)
