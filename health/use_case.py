"""Readiness: one check of each dependency of the app."""

import asyncio
from collections.abc import Awaitable

from shared.app import App
from shared.errors import BrokerError
from shared.values import immutable


@immutable
class Dependency:
    """One dependency of the app; `problem` is None if it answers, else an error code and its detail."""

    name: str
    problem: str | None


async def check_dependencies(app: App, request_id: str) -> list[Dependency]:
    """Check all dependencies at once. That of Face proves endpoint and credential; that of the store, a row.

    Where callers sign in, the keys of each issuer have to be in memory, or readable.
    """
    checks: dict[str, Awaitable[object]] = {
        "face": app.face.check(request_id),
        "storage": app.store.check(),
        "queue": app.queue.check(),
        "secrets": app.pseudonyms.of("check"),
    }
    if app.sign_in is not None:
        checks["signIn"] = app.sign_in.check()
    return await asyncio.gather(*(_checked(name, check) for name, check in checks.items()))


async def _checked(name: str, check: Awaitable[object]) -> Dependency:
    try:
        await check
    except BrokerError as error:
        return Dependency(name, f"{error.code}: {error.detail}" if error.detail else error.code)
    return Dependency(name, None)
