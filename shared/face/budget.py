"""The calls that Face takes per second, shared out: creates ahead of result reads and deletes."""

import asyncio
import time
from collections.abc import Callable
from enum import Enum

from shared.clock import Sleep
from shared.errors import UpstreamThrottled

LONGEST_PAUSE = 60.0
"""Seconds: a mistaken 429 cannot keep the broker away from Face for longer."""

# Sleeping for a computed time can fall short of it by the last bits of a float.
_TOLERANCE = 1e-9


class Lane(Enum):
    """What a call is for; the value is how many seconds it may wait for its turn."""

    CREATE = 2.0
    READ = 0.25


class Budget:
    """A token bucket in this process: in any T seconds it admits at most `rate` * T + `burst` calls.

    Half of the burst is kept for creates, and waiting creates go first, in the order in which they came. `rate` is
    calls per second.
    """

    def __init__(
        self,
        rate: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._take_rate(rate)
        self._monotonic = monotonic
        self._sleep = sleep
        self._tokens = self.burst
        self._filled_at = self._paused_until = monotonic()
        self._waiting_creates = 0
        self._turn = asyncio.Lock()

    async def take(self, lane: Lane, within: float) -> None:
        """Wait for leave to make one call, for at most `within` seconds and what the lane allows.

        Raises `UpstreamThrottled`, at once where it is plain that the wait would be longer.
        """
        give_up_at = self._monotonic() + min(lane.value, within)
        if lane is Lane.CREATE:
            await self._take_as_create(give_up_at)
        else:
            await self._take_as_read(give_up_at)

    def require_room(self) -> None:
        """Raise `UpstreamThrottled` where a create that came now would be refused; takes nothing."""
        self._require_turn(self._monotonic() + Lane.CREATE.value)

    def change_rate(self, rate: float) -> None:
        """Go by another rate from now on."""
        self._fill()
        self._take_rate(rate)
        self._tokens = min(self.burst, self._tokens)

    def pause(self, seconds: float) -> None:
        """Admit nobody for `seconds`, after Face said that it has no room."""
        self._paused_until = max(self._paused_until, self._monotonic() + min(seconds, LONGEST_PAUSE))

    async def _take_as_create(self, give_up_at: float) -> None:
        self._require_turn(give_up_at)
        self._waiting_creates += 1
        try:
            async with self._turn:
                while wait := self._wait_for(1.0):
                    await self._sleep(self._in_time(wait, give_up_at))
                self._tokens -= 1.0
        finally:
            self._waiting_creates -= 1

    def _require_turn(self, give_up_at: float) -> None:
        self._in_time(self._wait_for(1.0 + self._waiting_creates), give_up_at)

    async def _take_as_read(self, give_up_at: float) -> None:
        while wait := self._wait_for(1.0 + self.burst / 2 + self._waiting_creates):
            await self._sleep(self._in_time(wait, give_up_at))
        self._tokens -= 1.0

    def _take_rate(self, rate: float) -> None:
        self.rate = rate
        self.burst = max(2.0, rate / 2)

    def _fill(self) -> float:
        now = self._monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now
        return now

    def _wait_for(self, level: float) -> float:
        now = self._fill()
        missing = level - self._tokens
        return max(0.0, self._paused_until - now, missing / self.rate if missing > _TOLERANCE else 0.0)

    def _in_time(self, wait: float, give_up_at: float) -> float:
        if self._monotonic() + wait > give_up_at:
            raise UpstreamThrottled(
                "no room in the budget kept for Face", retry_after=wait, request_sent=False
            )
        return wait
