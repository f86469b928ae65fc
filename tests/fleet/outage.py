"""Phones that use a fleet whose store may go away, and what they were told and promised meanwhile."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from local.simulator import Session
from tests.fleet.fleet import Fleet

_PATIENCE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Told:
    """One answer, how many seconds it took, and in how many it says to come back (0: nothing was said)."""

    status: int
    code: str | None
    seconds: float
    retry_after: int

    @property
    def outcome(self) -> tuple[int, str | None]:
        """The status and the error's code."""
        return self.status, self.code


class Held:
    """A `Sleep` for the simulator: its slow calls wait until they are let go."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._arrival = asyncio.Event()

    async def sleep(self, _: float) -> None:
        """Wait, however long it should be."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._arrival.set()
        await waiter

    async def arrived(self) -> None:
        """Wait for a call to arrive."""
        await asyncio.wait_for(self._arrival.wait(), _PATIENCE_SECONDS)

    def let_go(self) -> None:
        """End the wait of those that arrived."""
        self._arrival.clear()
        while self._waiting:
            self._waiting.pop().set_result(None)


class Usage:
    """What phones do with a fleet: sessions with and without a key, results, revocations; and what comes of it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._devices: list[str] = []
        self._disclosed: dict[str, Mapping[str, Any]] = {}
        self._revoked: dict[str, bool] = {}
        self._changed = asyncio.Condition()
        self.told: list[Told] = []

    @asynccontextmanager
    async def under_way(self, phones: int) -> AsyncIterator["Usage"]:
        """Have phones use the fleet until the block ends, and wait for their last answers."""
        ended = asyncio.Event()
        tasks = [asyncio.create_task(self._phone(number, ended)) for number in range(phones)]
        try:
            yield self
        finally:
            ended.set()
            await asyncio.gather(*tasks)

    async def until(self, wanted: Callable[[Told], bool], *, count: int) -> None:
        """Wait for so many more answers of this kind."""
        known = len(self.told)
        async with asyncio.timeout(_PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: sum(map(wanted, self.told[known:])) >= count)

    def stray_sessions(self) -> list[Session]:
        """Answer the sessions that Face still has and nobody was given."""
        kept = [session for device in self._devices for session in self._kept_sessions(device)]
        return [session for session in kept if session.session_id not in self._disclosed]

    def repeated_devices(self) -> list[str]:
        """Answer the devices with more than one session, though each asked for one, some of them twice under a key."""
        return [device for device in self._devices if len(self._kept_sessions(device)) > 1]

    async def broken_promises(self) -> list[str]:
        """Answer the sessions that were given out and cannot be read, or were revoked and can be, at any instance."""
        places = [(one, there) for one in self._disclosed for there in range(len(self._fleet.instances))]
        kept = await asyncio.gather(*(self._is_kept(*place) for place in places))
        return [session_id for (session_id, _), is_kept in zip(places, kept, strict=True) if not is_kept]

    async def _phone(self, number: int, ended: asyncio.Event) -> None:
        here, there = number % len(self._fleet.instances), (number + 1) % len(self._fleet.instances)
        while not ended.is_set():
            session = await self._create(here, self._device())
            if session:
                await self._note(self._fleet.result(there, session))
                await self._revoke(there, session)
            keyed, key = self._device(), secrets.token_urlsafe(24)
            for instance in (here, there):
                await self._create(instance, keyed, key)

    async def _is_kept(self, session_id: str, instance: int) -> bool:
        answer = await self._fleet.result(instance, self._disclosed[session_id])
        return answer.status_code in _EXPECTED[self._revoked.get(session_id)]

    def _kept_sessions(self, device: str) -> list[Session]:
        return [session for session in self._fleet.sessions_of(device) if not session.deleted]

    def _device(self) -> str:
        self._devices.append(f"phone-{secrets.token_hex(8)}")
        return self._devices[-1]

    async def _create(self, instance: int, device: str, key: str | None = None) -> Mapping[str, Any] | None:
        answer = await self._note(self._fleet.create(instance, device, key=key))
        if answer.status_code != 200:
            return None
        session: Mapping[str, Any] = answer.json()
        self._disclosed[session["sessionId"]] = session
        return session

    async def _revoke(self, instance: int, session: Mapping[str, Any]) -> None:
        answer = await self._note(self._fleet.revoke(instance, session))
        self._revoked[session["sessionId"]] = answer.status_code == 204

    async def _note(self, call: Awaitable[httpx.Response]) -> httpx.Response:
        began = time.monotonic()
        answer = await call
        told = Told(
            answer.status_code,
            answer.headers.get("x-ms-error-code"),
            time.monotonic() - began,
            int(answer.headers.get("Retry-After", 0)),
        )
        async with self._changed:
            self.told.append(told)
            self._changed.notify_all()
        return answer


# A revocation that failed may have closed the session all the same.
_EXPECTED: Mapping[bool | None, set[int]] = {None: {200}, True: {404}, False: {200, 404}}
