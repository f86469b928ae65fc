"""A secret in memory: one read for all callers, refreshed in the background, kept while the vault is down."""

import asyncio
import logging
import random as random_numbers
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.clock import Clock
from shared.errors import KeyUnavailable
from shared.keys.secret import Secret
from shared.telemetry import log_event

_LOGGER = logging.getLogger(__name__)

Read = Callable[[], Awaitable[Secret]]
"""Fetches the secret from its store, within a deadline of its own; raises `KeyUnavailable`."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a cached value stays good, in milliseconds.

    soft      after this a value is served and refreshed in the background; spread by a tenth either way,
              so that the instances of an app do not all refresh at once
    hard      after this a value is not served any more
    retry     the pause after a failed refresh, while there is a value to serve
    negative  the pause after a failed read, while there is none
    forced    the pause between two refreshes for refused values
    """

    soft: int = 15 * 60_000
    hard: int = 24 * 60 * 60_000
    retry: int = 30_000
    negative: int = 5_000
    forced: int = 30_000


@dataclass(frozen=True, slots=True)
class _Held:
    secret: Secret
    read_at: int
    soft: int


@dataclass(frozen=True, slots=True)
class _Failure:
    detail: str
    at: int


class CachedSecret:
    """A `SecretSource` over `read`; a forced refresh uses `reread` where that is given.

    At most one read runs at a time. All callers share it, it goes on when they are cancelled, and `aclose` ends it.
    A value with an end of its own is not served beyond that end.
    """

    def __init__(
        self,
        read: Read,
        *,
        name: str,
        clock: Clock,
        lifetimes: Lifetimes | None = None,
        reread: Read | None = None,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        self._read = read
        self._reread = reread or read
        self._name = name
        self._clock = clock
        self._lifetimes = lifetimes or Lifetimes()
        self._random = random
        self._held: _Held | None = None
        self._failure: _Failure | None = None
        self._forced_at: int | None = None
        self._reading: asyncio.Task[None] | None = None

    async def get(self) -> Secret:
        """Return the value in memory at once, else the value of a read; raises `KeyUnavailable`."""
        if self._usable() is None:
            if not self._failed_within(self._lifetimes.negative):
                self._start(self._read)
            await self._reading_done()
        elif self._is_due():
            self._start(self._read)
        return self._require()

    async def refresh(self, refused: Secret) -> Secret:
        """Read a newer value than the refused one, at most once in `Lifetimes.forced`.

        Returns the value in memory where that is another one already, and the refused one where nothing is newer.
        """
        await self._reading_done()
        if self._held is not None and self._held.secret == refused:
            if self._forced_at is None or not self._within(self._forced_at, self._lifetimes.forced):
                self._forced_at = self._clock()
                self._start(self._reread)
            await self._reading_done()
        return await self.get()

    async def aclose(self) -> None:
        """End a read that is running."""
        if self._reading is not None:
            self._reading.cancel()
            await self._reading_done()

    def _usable(self) -> Secret | None:
        held, now = self._held, self._clock()
        if held is None or now - held.read_at >= self._lifetimes.hard:
            return None
        expires_at = held.secret.expires_at
        return held.secret if expires_at is None or now < expires_at else None

    def _is_due(self) -> bool:
        held = self._held
        if held is None or self._within(held.read_at, held.soft):
            return False
        return not self._failed_within(self._lifetimes.retry)

    def _failed_within(self, span: int) -> bool:
        return self._failure is not None and self._within(self._failure.at, span)

    def _within(self, since: int, span: int) -> bool:
        # A time in the future was noted before the clock was set back: it delays nothing.
        return 0 <= self._clock() - since < span

    def _start(self, read: Read) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._run(read), name=f"read {self._name}")

    async def _reading_done(self) -> None:
        # Unlike awaiting the task, this does not cancel it with its caller.
        if self._reading is not None and not self._reading.done():
            await asyncio.wait((self._reading,))

    async def _run(self, read: Read) -> None:
        started = self._clock()
        try:
            self._succeeded(await read(), started)
        except KeyUnavailable as failure:
            self._failed(failure.detail)
        except Exception as error:
            # Its text might quote anything, the value included.
            self._failed(f"reading secret {self._name} failed with {type(error).__name__}")

    def _succeeded(self, secret: Secret, read_at: int) -> None:
        if secret.expires_at is not None and self._clock() >= secret.expires_at:
            raise KeyUnavailable(f"secret {self._name} had expired when it came: compare the clocks")
        if self._held is not None and self._held.secret != secret:
            log_event(_LOGGER, logging.INFO, "secret_changed", secret=self._name)
        self._held = _Held(secret, read_at, round(self._lifetimes.soft * (0.9 + 0.2 * self._random())))
        if self._failure is not None:
            self._failure = None
            log_event(_LOGGER, logging.INFO, "secret_read_recovered", secret=self._name)

    def _failed(self, detail: str) -> None:
        self._failure = _Failure(detail, self._clock())
        # Logged each time, so that an alert over the last minutes lasts as long as the outage; the pauses bound it.
        log_event(
            _LOGGER,
            logging.WARNING,
            "secret_read_failed",
            secret=self._name,
            detail=detail,
            serving_stale=self._usable() is not None,
        )

    def _require(self) -> Secret:
        if secret := self._usable():
            return secret
        if self._failure is None:
            raise KeyUnavailable(f"reading secret {self._name} was broken off")
        pause = self._failure.at + self._lifetimes.negative - self._clock()
        raise KeyUnavailable(self._failure.detail, retry_after=max(1.0, pause / 1000))
