"""The double of a secret in a vault, and units of time in milliseconds."""

import asyncio
from typing import Final

from shared.errors import KeyUnavailable
from shared.keys.secret import Secret
from tests.support.intercepted import Call, Effect, Intercepted

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE


class FakeSecret(Intercepted):
    """Answers `value` to `read` and `reread`. Reads wait while `gate` is cleared, and fail after `break_down`."""

    expires_at: int | None = None

    def __init__(self, value: str = "key-1") -> None:
        super().__init__()
        self.value = value
        self.gate = asyncio.Event()
        self.gate.set()

    def break_down(self, error: Exception | None = None) -> None:
        """Let every read fail from now on."""

        async def around(call: Call, effect: Effect) -> Secret:
            await self.gate.wait()
            raise error or KeyUnavailable("the vault is down")

        self.around = around

    def recover(self) -> None:
        self.around = None

    async def read(self) -> Secret:
        return await self.intercept(Call("read"), self._answer)

    async def reread(self) -> Secret:
        """Read it as a forced refresh does."""
        return await self.intercept(Call("reread"), self._answer)

    async def _answer(self) -> Secret:
        await self.gate.wait()
        return Secret(self.value, self.expires_at)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)
