"""Looks up host names without blocking the event loop or each other.

`loop.getaddrinfo` runs in the default executor: a handful of threads for the whole process. A name server that does
not answer for one name blocks them all, and with them the look-ups of healthy hosts. Here each name has at most one
thread of its own, and an address that is known is used for as long as newer look-ups fail.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

FRESH_SECONDS: Final = 30.0
"""How long an address is used before its name is looked up again."""

STALE_SECONDS: Final = 3600.0
"""How long an old address is used while newer look-ups fail or hang."""

DEADLINE_SECONDS: Final = 1.5
"""How long a request waits for a look-up where no address is known."""

RENEWAL_SECONDS: Final = 0.3
"""How long a request waits for a look-up before it uses an old address. A healthy name server is faster."""

LookUp = Callable[[str, int, int], list[ResolveResult]]
"""Blocks until it has the addresses of a host, port and address family; raises `OSError`."""


class Resolver(AbstractResolver):
    """The `AbstractResolver` of aiohttp over the system's own look-up, which knows hosts files and private zones."""

    def __init__(
        self, look_up: LookUp | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._look_up = look_up or _system_look_up
        self._monotonic = monotonic
        self._known: dict[tuple[str, int, int], tuple[float, list[ResolveResult]]] = {}
        self._under_way: dict[tuple[str, int, int], asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; raises `OSError` where none is known in time."""
        wanted = (host, port, int(family))
        found_at, addresses = self._known.get(wanted, (0.0, []))
        age = self._monotonic() - found_at
        if addresses and age < FRESH_SECONDS:
            return addresses
        look_up = self._under_way.get(wanted) or self._start(wanted)
        if addresses and age < STALE_SECONDS:
            with suppress(OSError):
                async with asyncio.timeout(RENEWAL_SECONDS):
                    return await asyncio.shield(look_up)
            # A look-up that hangs goes on in the background.
            return addresses
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await asyncio.shield(look_up)
        except TimeoutError as error:
            raise OSError(None, "the name was not resolved in time") from error

    async def close(self) -> None:
        """Forget what is known; a thread that hangs ends by itself."""
        self._known.clear()

    def _start(self, wanted: tuple[str, int, int]) -> "asyncio.Future[list[ResolveResult]]":
        loop = asyncio.get_running_loop()
        look_up: asyncio.Future[list[ResolveResult]] = loop.create_future()
        # Nobody may wait for it any more when it fails.
        look_up.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self._under_way[wanted] = look_up

        def run() -> None:
            try:
                found: list[ResolveResult] | OSError = self._look_up(*wanted)
            except OSError as error:
                found = error
            except Exception as error:
                found = OSError(None, f"the name cannot be looked up: {type(error).__name__}")
            # The loop may have been closed meanwhile: then nobody waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._ended, wanted, look_up, found)

        threading.Thread(target=run, name="look-up", daemon=True).start()
        return look_up

    def _ended(
        self,
        wanted: tuple[str, int, int],
        look_up: "asyncio.Future[list[ResolveResult]]",
        found: "list[ResolveResult] | OSError",
    ) -> None:
        self._under_way.pop(wanted, None)
        if look_up.done():
            return
        if isinstance(found, OSError):
            look_up.set_exception(found)
            return
        self._known[wanted] = (self._monotonic(), found)
        look_up.set_result(found)


def _system_look_up(host: str, port: int, family: int) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=int(address[1]),
            family=answered,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for answered, _, protocol, _, address in found
    ]
