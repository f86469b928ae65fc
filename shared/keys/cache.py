"""A secret kept in memory: fetched once for all who wait, refreshed in the background, kept in an outage."""

import logging
import random as random_numbers
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from shared.clock import Clock
from shared.errors import KeyUnavailable
from shared.flight import Flight
from shared.keys.lifetimes import Lifetimes
from shared.keys.secret import Secret
from shared.telemetry import log_event

_LOGGER = logging.getLogger(__name__)

Read = Callable[[], Awaitable[Secret]]
"""Fetches the secret from where it is kept, within a deadline of its own; raises `KeyUnavailable`."""


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
    """A `SecretSource` over `read`; `reread` is how a forced refresh reads, where that differs.

    There is never more than one read under way. It belongs to nobody who waits for it, and so outlives each
    of them; `aclose` ends it. A value that carries its own end is not served beyond it.
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
        self._flight = Flight(f"read {name}")

    async def get(self) -> Secret:
        """Answer the value in memory at once, else the one that is fetched; raises `KeyUnavailable`."""
        if self._usable() is None:
            if not self._failed_within(self._lifetimes.negative):
                self._start(self._read)
            await self._flight.landed()
        elif self._due():
            self._start(self._read)
        return self._require()

    async def refresh(self, refused: Secret) -> Secret:
        """Fetch a newer value than the refused one, at most once in `Lifetimes.forced`.

        Answers the value in memory where that is another one already, and where there is no newer to be had.
        """
        await self._flight.landed()
        if self._holds(refused):
            self._force()
            await self._flight.landed()
        return await self.get()

    async def aclose(self) -> None:
        """End a read that is under way."""
        await self._flight.aclose()

    def _usable(self) -> Secret | None:
        held, now = self._held, self._clock()
        if held is None or now - held.read_at >= self._lifetimes.hard:
            return None
        expires_at = held.secret.expires_at
        return held.secret if expires_at is None or now < expires_at else None

    def _due(self) -> bool:
        held = self._held
        if held is None or self._within(held.read_at, held.soft):
            return False
        return not self._failed_within(self._lifetimes.retry)

    def _failed_within(self, span: int) -> bool:
        return self._failure is not None and self._within(self._failure.at, span)

    def _within(self, since: int, span: int) -> bool:
        # A moment that is still to come was stamped before the clock was set back: it holds nothing up.
        return 0 <= self._clock() - since < span

    def _holds(self, refused: Secret) -> bool:
        return self._held is not None and self._held.secret == refused

    def _force(self) -> None:
        if self._forced_at is None or not self._within(self._forced_at, self._lifetimes.forced):
            self._forced_at = self._clock()
            self._start(self._reread)

    def _start(self, read: Read) -> None:
        self._flight.start(partial(self._fly, read))

    async def _fly(self, read: Read) -> None:
        started = self._clock()
        try:
            self._succeeded(await read(), started)
        except KeyUnavailable as failure:
            self._failed(failure.detail)
        except Exception as error:
            # Its text might hold anything, the value included.
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
        # Each time, at most as often as the pauses allow: an alert that looks back minutes lasts as long as the outage.
        log_event(
            _LOGGER,
            logging.WARNING,
            "secret_read_failed",
            secret=self._name,
            detail=detail,
            serving_stale=self._usable() is not None,
        )

    def _require(self) -> Secret:
        secret = self._usable()
        if secret is None:
            raise self._unavailable()
        return secret

    def _unavailable(self) -> KeyUnavailable:
        if self._failure is None:
            return KeyUnavailable(f"reading secret {self._name} was broken off")
        pause = self._failure.at + self._lifetimes.negative - self._clock()
        return KeyUnavailable(self._failure.detail, retry_after=max(1.0, pause / 1000))
