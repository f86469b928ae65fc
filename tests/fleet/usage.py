"""Phones that use a fleet whose store may fail, and what the fleet told them."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from local.simulator import Session
from tests.fleet.fleet import Fleet

_PATIENCE_SECONDS: Final = 90
# The status of a read, by whether the session was revoked: a failed revocation may have worked all the same.
_EXPECTED: Final[Mapping[bool | None, set[int]]] = {None: {200}, True: {404}, False: {200, 404}}


@dataclass(frozen=True, slots=True)
class Told:
    """One answer, its duration in seconds, and its `Retry-After` (0 if absent)."""

    status: int
    code: str | None
    seconds: float
    retry_after: int


class Usage:
    """Phones create sessions with and without a key, read results and revoke; this records the outcome."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._devices: list[str] = []
        self._given: dict[str, Mapping[str, Any]] = {}
        self._revoked: dict[str, bool] = {}
        self._changed = asyncio.Condition()
        self.told: list[Told] = []

    @asynccontextmanager
    async def under_way(self, phones: int) -> AsyncIterator["Usage"]:
        """Let phones use the fleet until the block ends, and wait for their last answers."""
        ended = asyncio.Event()
        tasks = [asyncio.create_task(self._phone(number, ended)) for number in range(phones)]
        try:
            yield self
        finally:
            ended.set()
            await asyncio.gather(*tasks)

    async def until(self, status: int, *, count: int) -> None:
        """Wait for so many more answers with this status."""
        known = len(self.told)
        async with asyncio.timeout(_PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(
                lambda: sum(told.status == status for told in self.told[known:]) >= count
            )

    def stray_sessions(self) -> list[Session]:
        """Return the sessions that Face still has and no phone was given."""
        kept = [session for device in self._devices for session in self._kept_sessions(device)]
        return [session for session in kept if session.session_id not in self._given]

    def repeated_devices(self) -> list[str]:
        """Return the devices with more than one session, though each asked for one (some twice under a key)."""
        return [device for device in self._devices if len(self._kept_sessions(device)) > 1]

    async def broken_promises(self) -> list[str]:
        """Return the sessions that were given and cannot be read at an instance, or were revoked and can be."""
        broken = []
        for session_id, session in self._given.items():
            expected = _EXPECTED[self._revoked.get(session_id)]
            reads = [self._fleet.result(instance, session) for instance in range(len(self._fleet.instances))]
            if not {answer.status_code for answer in await asyncio.gather(*reads)} <= expected:
                broken.append(session_id)
        return broken

    async def _phone(self, number: int, ended: asyncio.Event) -> None:
        here, there = number % len(self._fleet.instances), (number + 1) % len(self._fleet.instances)
        while not ended.is_set():
            if session := await self._create(here, self._device()):
                await self._note(self._fleet.result(there, session))
                answer = await self._note(self._fleet.revoke(there, session))
                self._revoked[session["sessionId"]] = answer.status_code == 204
            keyed, key = self._device(), secrets.token_urlsafe(24)
            for instance in (here, there):
                await self._create(instance, keyed, key)

    def _device(self) -> str:
        self._devices.append(f"phone-{secrets.token_hex(8)}")
        return self._devices[-1]

    async def _create(self, instance: int, device: str, key: str | None = None) -> Mapping[str, Any] | None:
        answer = await self._note(self._fleet.create(instance, device, key=key))
        if answer.status_code != 200:
            return None
        session: Mapping[str, Any] = answer.json()
        self._given[session["sessionId"]] = session
        return session

    def _kept_sessions(self, device: str) -> list[Session]:
        return [session for session in self._fleet.sessions_of(device) if not session.deleted]

    async def _note(self, call: Awaitable[httpx.Response]) -> httpx.Response:
        began = time.monotonic()
        answer = await call
        code, seconds = answer.headers.get("x-ms-error-code"), time.monotonic() - began
        async with self._changed:
            retry_after = int(answer.headers.get("Retry-After", 0))
            self.told.append(Told(answer.status_code, code, seconds, retry_after))
            self._changed.notify_all()
        return answer
