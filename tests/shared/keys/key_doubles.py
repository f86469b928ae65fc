"""Stand-ins for the clock and for where a secret is kept, inside the process."""

import asyncio

from shared.errors import KeyUnavailable
from shared.keys.secret import Secret

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


class FakeKeeper:
    """Keeps one secret; `hold()` makes reads wait until `release()`, and `broken` makes them fail."""

    def __init__(self, value: str = "key-1") -> None:
        self.value = value
        self.broken: Exception | None = None
        self.reads = 0
        self.forced = 0
        self.under_way = 0
        self.most_under_way = 0
        self._open = asyncio.Event()
        self._open.set()

    def break_down(self, detail: str = "the vault is down") -> None:
        self.broken = KeyUnavailable(detail)

    def recover(self) -> None:
        self.broken = None

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def read(self) -> Secret:
        self.reads += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self._open.wait()
            if self.broken is not None:
                raise self.broken
            return Secret(self.value)
        finally:
            self.under_way -= 1

    async def reread(self) -> Secret:
        self.forced += 1
        return await self.read()


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)
