"""A secret, or the public keys of an issuer, in memory: one read for all callers, kept while the source is down."""

import asyncio
import logging
import random as random_numbers
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from shared.errors import KeyUnavailable
from shared.keys.secret import Secret
from shared.telemetry import Field, log_event
from shared.text import Clock

# Ages and pauses, in milliseconds.
SOFT_LIFETIME: Final = 15 * 60_000  # An older value is refreshed in the background.
HARD_LIFETIME: Final = 24 * 60 * 60_000  # An older value is not served.
RETRY_PAUSE: Final = 30_000  # After a failed refresh, while there is a value to serve.
COLD_PAUSE: Final = 5_000  # After a failed read, while there is no value to serve.
LONGEST_PAUSE: Final = 60_000  # The longest `Retry-After` of a source that is waited out.

# The most reads that are forced because a service refused the value in memory, and the time that they are counted in.
FORCED: Final = (2, 10_000)  # So that a forged token does not use up the read of a good one.
FORCED_SELDOM: Final = (1, 30_000)  # For a secret that nobody but its own service refuses.

_LOGGER = logging.getLogger(__name__)


class Expiring(Protocol):
    """A value that can be cached; `expires_at` is when it stops working, in unix milliseconds, or None."""

    @property
    def expires_at(self) -> int | None: ...  # noqa: D102 - described above.


Value = TypeVar("Value", bound=Expiring)


class Cached(Generic[Value]):
    """A secret, or the public keys of an issuer, over `read`; a forced refresh uses `reread` where that is given.

    Both fetch the value within a deadline of their own, and raise `KeyUnavailable`.
    At most one read runs at a time. All callers share it, it goes on when they are cancelled, and `aclose` ends it.
    A value with an end of its own is not served beyond that end.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Value]],
        *,
        name: str,
        clock: Clock,
        soft_lifetime: int = SOFT_LIFETIME,
        reread: Callable[[], Awaitable[Value]] | None = None,
        forced: tuple[int, int] = FORCED,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        self._read = read
        self._reread = reread or read
        self._name = name
        self._clock = clock
        self._soft_lifetime = soft_lifetime
        self._random = random
        self._held: Value | None = None
        self._read_at = 0
        self._due_after = 0
        self._failure: str | None = None
        self._failed_at = 0
        self._asked_pause = 0
        most_forced, self._forced_span = forced
        self._forced: deque[int] = deque(maxlen=most_forced)
        self._reading: asyncio.Task[None] | None = None

    async def get(self) -> Value:
        """Return the value in memory at once, else the value of a read; raises `KeyUnavailable`."""
        if value := self._usable():
            if not self._within(self._read_at, self._due_after) and not self._failed_within(RETRY_PAUSE):
                self._start(self._read)
            return value
        if not self._failed_within(COLD_PAUSE):
            self._start(self._read)
        await self._reading_done()
        return self._require()

    async def refresh(self, refused: Value, *, may_read: bool = True) -> Value:
        """Read a newer value than the refused one, as often as `forced` allows, or only wait for a read that runs.

        Returns the value in memory where that is another one already, and the refused one where nothing is newer.
        """
        await self._reading_done()
        if self._held == refused and may_read:
            # Another caller who waited for the same read may have started the next one already.
            if not self._is_reading and self.refresh_pause == 0 and not self._failed_within(0):
                self._forced.append(self._clock())
                self._start(self._reread)
            await self._reading_done()
        return await self.get()

    @property
    def refresh_pause(self) -> float:
        """The seconds until `refresh` may read again."""
        if len(self._forced) != self._forced.maxlen or not self._within(self._forced[0], self._forced_span):
            return 0.0
        return (self._forced[0] + self._forced_span - self._clock()) / 1000

    @property
    def failing(self) -> bool:
        """Whether the latest read failed, so that the value in memory may be an old one."""
        return self._failure is not None

    async def aclose(self) -> None:
        """End a read that is running."""
        if self._reading is not None:
            self._reading.cancel()
            await self._reading_done()

    def _usable(self) -> Value | None:
        held, now = self._held, self._clock()
        if held is None or now - self._read_at >= HARD_LIFETIME:
            return None
        return held if held.expires_at is None or now < held.expires_at else None

    def _failed_within(self, span: int) -> bool:
        return self._failure is not None and self._within(self._failed_at, max(span, self._asked_pause))

    def _within(self, since: int, span: int) -> bool:
        # A time in the future was noted before the clock was set back: it delays nothing.
        return 0 <= self._clock() - since < span

    @property
    def _is_reading(self) -> bool:
        return self._reading is not None and not self._reading.done()

    def _start(self, read: Callable[[], Awaitable[Value]]) -> None:
        if not self._is_reading:
            self._reading = asyncio.create_task(self._run(read), name=f"read {self._name}")

    async def _reading_done(self) -> None:
        # Unlike awaiting the task, this does not cancel it with its caller.
        if self._reading is not None and self._is_reading:
            await asyncio.wait((self._reading,))

    async def _run(self, read: Callable[[], Awaitable[Value]]) -> None:
        started = self._clock()
        try:
            self._succeeded(await read(), started)
        except KeyUnavailable as failure:
            self._failed(failure.detail, failure.retry_after or 0.0)
        except Exception as error:
            # Its text might quote anything, the value included.
            self._failed(f"reading {self._name} failed with {type(error).__name__}")

    def _succeeded(self, value: Value, read_at: int) -> None:
        if value.expires_at is not None and self._clock() >= value.expires_at:
            raise KeyUnavailable(f"{self._name} had expired when it came: compare the clocks")
        if self._held is not None and self._held != value:
            log_event(_LOGGER, logging.INFO, "secret_changed", secret=self._name)
        # Spread by a tenth either way, so that the instances of an app do not all refresh at once.
        self._due_after = round(self._soft_lifetime * (0.9 + 0.2 * self._random()))
        self._held, self._read_at = value, read_at
        if self._failure is not None:
            self._failure = None
            log_event(_LOGGER, logging.INFO, "secret_read_recovered", secret=self._name)

    def _failed(self, detail: str, retry_after: float = 0.0) -> None:
        self._failure, self._failed_at = detail, self._clock()
        self._asked_pause = min(round(retry_after * 1000), LONGEST_PAUSE)
        stale = self._usable() is not None
        fields: dict[str, Field] = {"secret": self._name, "detail": detail, "serving_stale": stale}
        # Logged each time, so that an alert over the last minutes lasts as long as the outage; the pauses bound it.
        log_event(_LOGGER, logging.WARNING, "secret_read_failed", **fields)

    def _require(self) -> Value:
        if value := self._usable():
            return value
        if self._failure is None:
            raise KeyUnavailable(f"reading {self._name} was broken off")
        pause = self._failed_at + max(COLD_PAUSE, self._asked_pause) - self._clock()
        raise KeyUnavailable(self._failure, retry_after=max(1.0, pause / 1000))


CachedSecret = Cached[Secret]
"""A `SecretSource` over a vault or an identity endpoint."""
