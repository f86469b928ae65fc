"""The calls a second that this instance may make to Face: a token bucket whose rate adapts to Face's 429s.

The rate starts at a ceiling. A 429 halves it, then it grows again: fast up to the rate at which Face refused, slowly
around that, and faster again where no further 429 comes. That is the curve of TCP CUBIC (RFC 9438), which the adaptive
retry mode of the AWS SDKs uses too. Face counts the calls of all instances and phones together, so instances find their
shares without knowing each other.

The constants come from simulated fleets of 1, 4 and 40 instances under a Face of 10 calls a second, with phones that
make three calls to Face for each check, at 1 to 3 times the load that Face can carry.
"""

import asyncio
import math
import time
from collections.abc import Callable
from enum import Enum
from typing import Final

from cachetools import LRUCache

from shared.errors import UpstreamThrottled
from shared.text import Sleep

DECREASE: Final = 0.5
USE_PERIOD: Final = 30.0
QUIET_RATE: Final = 0.15
"""A 429 halves the rate, or lowers it to the calls a second of about the last 30 s if those are less. Without that,
each of many quiet instances would need several 429s until its rate has any effect. A lack of calls lowers no rate below
0.15, so that a quiet instance still admits a create every 13 s."""

LOWEST_RATE: Final = 0.05
"""Calls a second. 40 instances at twice the load settle near 0.1; a floor of 0.1 leaves 12 % of calls with a 429."""

DECREASE_EVERY: Final = 5.0
"""Seconds after a decrease. A 429 to a call that began before their end is ignored: the phones' own calls follow a
create by some seconds, so Face feels a lower rate late. Without this, one instance carries only two thirds."""

RECOVERY_SECONDS: Final = 30.0
RECOVERY_CALLS: Final = 120
"""The rate is back where Face refused after three quarters of 30 s and 120 calls, and at five times that after all of
them. With fewer calls, 40 instances with 0.1 calls a second each would cause more than 5 % of 429s; with less time, one
instance would. With more, a fleet that a phone brought down to 0.3 calls a second would stay there for minutes.
An instance counts as making at least `LOWEST_RATE` calls a second, so one without calls is back after 30 minutes."""

CREATE_SHARE: Final = 0.5
"""Creates get at most this part of rate and burst: each needs reads after it, and without them no check completes."""

COMES_BACK: Final = 3.0
"""For so many seconds a read that was sent away is expected again: phones are told to ask again after 2 s."""

SERIES_GAP: Final = 60.0
"""Seconds without a refusal that end a series of them. Of 40 instances, one has a refusal each 10 to 20 s."""

_MOST_ASKERS = 1_000
_MOST_EXPECTED = 100

# Sleeping for a computed time can fall short of it by the last bits of a float.
_TOLERANCE: Final = 1e-9


class Lane(Enum):
    """What a call is for; the value is how many seconds it may wait for its turn."""

    CREATE = 2.0
    READ = 1.0
    """The first read of a session, or one that brings the digest of a check; a deletion; any read of the collector."""
    REPEATED_READ = 0.25
    """Another read of a session. It leaves room for the first reads that wait."""
    FOLLOW_UP = 0.0
    """A later call of a request. It never waits, because the first one is of no use without it; later reads wait."""


_Rank = tuple[bool, int]
"""The order of reads: first reads before repeated ones, then those of the asker with fewer reads of late."""


class Budget:
    """Admits at most `ceiling` * T + max(2, `ceiling`) calls in any T seconds; `ceiling` is in calls a second.

    A follow-up may come on top of that where creates use up their half at the same time. Half of the burst is kept for
    creates, so that reads never delay them. Creates get their turns in order.

    A read leaves room for those that go before it: first reads before repeated ones, and among these the reads of
    the asker with fewer in the last half minute. That counts for the reads that wait, and for those that were sent away
    and are expected again. So no caller or address takes more than a fair part while others wait.
    """

    def __init__(
        self,
        ceiling: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._ceiling = ceiling
        self._monotonic = monotonic
        self._sleep = sleep
        self._now = monotonic()
        self._rate = ceiling
        self._began = self._now
        self._recent_calls = 0.0
        self._burst = max(2.0, ceiling)
        # The series of refusals: when it began, and its last one.
        self._refused_since = -math.inf
        self._refused_at = -math.inf
        # The last decrease: the rate that was too high, when it was lowered, and the calls since.
        self._too_high = ceiling
        self._decreased_at = -math.inf
        self._calls = 0
        self._tokens = self._burst
        self._create_tokens = self._burst * CREATE_SHARE
        self._waiting_creates = 0
        self._turn = asyncio.Lock()
        # By asker: the reads of about the last 30 s and when they were counted; the ranks of the reads that wait, or
        # are expected again, and until when.
        self._reads: LRUCache[str, tuple[float, float]] = LRUCache(_MOST_ASKERS)
        self._expected: dict[str, tuple[_Rank, float]] = {}

    @property
    def rate(self) -> float:
        """The calls a second that are admitted now."""
        self._advance()
        return self._rate

    @property
    def throttled_for(self) -> float:
        """The seconds for which calls have been refused: by Face, or here because Face's 429s lowered the rate."""
        now = self._monotonic()
        return 0.0 if now - self._refused_at > SERIES_GAP else now - self._refused_since

    async def take(self, lane: Lane, within: float, asker: str = "") -> float:
        """Wait for the turn of one call, at most `within` seconds and as long as the lane allows.

        `asker` is the caller or the address that a read is for; empty for the broker itself.
        Returns the time of the turn, for `slow_down`. Raises `UpstreamThrottled` as soon as the wait is known to be
        too long.
        """
        give_up_at = self._monotonic() + min(lane.value, within)
        if lane is Lane.CREATE:
            await self._take_create_token(give_up_at)
        elif lane is not Lane.FOLLOW_UP:
            await self._take_turn_of_read(lane, asker, give_up_at)
        else:
            self._advance()
        self._tokens -= 1.0
        self._recent_calls += 1.0
        self._calls += 1
        return self._now

    def require_room(self) -> None:
        """Raise `UpstreamThrottled` if a create would be refused now; takes nothing."""
        self._in_time(self._wait_for_create(self._waiting_creates), self._monotonic() + Lane.CREATE.value)

    def slow_down(self, began: float) -> None:
        """Lower the rate after a 429 to a call whose turn was at `began`."""
        self._advance()
        self._note_refusal()
        if began < self._decreased_at + DECREASE_EVERY:
            return
        self._rate = max(LOWEST_RATE, min(DECREASE * self._rate, max(QUIET_RATE, self._rate_in_use())))
        self._too_high = self._rate / DECREASE
        self._decreased_at = self._now
        self._calls = 0
        self._burst = max(2.0, self._rate)

    async def _take_create_token(self, give_up_at: float) -> None:
        self._in_time(self._wait_for_create(self._waiting_creates), give_up_at)
        self._waiting_creates += 1
        try:
            async with self._turn:
                while wait := self._wait_for_create(0):
                    await self._sleep(self._in_time(wait, give_up_at))
                self._create_tokens -= 1.0
        finally:
            self._waiting_creates -= 1

    def _wait_for_create(self, ahead: int) -> float:
        self._advance()
        missing = 1.0 + ahead - self._create_tokens
        return missing / (self._rate * CREATE_SHARE) if missing > _TOLERANCE else 0.0

    async def _take_turn_of_read(self, lane: Lane, asker: str, give_up_at: float) -> None:
        self._advance()
        rank = (lane is Lane.REPEATED_READ, int(self._recent_reads(asker)))
        if asker in self._expected or len(self._expected) < _MOST_EXPECTED:
            self._expected[asker] = (rank, self._now + COMES_BACK)
        while wait := self._wait_for_read(rank):
            await self._sleep(self._in_time(wait, give_up_at))
        self._expected.pop(asker, None)
        self._reads[asker] = (self._recent_reads(asker) + 1.0, self._now)

    def _wait_for_read(self, rank: _Rank) -> float:
        self._advance()
        self._expected = {asker: one for asker, one in self._expected.items() if one[1] > self._now}
        ahead = sum(other < rank for other, _ in self._expected.values())
        kept = self._burst * CREATE_SHARE
        # At most what the bucket can hold: an asker that is expected may have gone to another instance.
        needed = min(1.0 + ahead, max(2.0, self._burst - kept))
        missing = needed + kept - self._tokens
        return missing / self._rate if missing > _TOLERANCE else 0.0

    def _recent_reads(self, asker: str) -> float:
        reads, at = self._reads.get(asker, (0.0, self._now))
        return reads * math.exp((at - self._now) / USE_PERIOD)

    def _in_time(self, wait: float, give_up_at: float) -> float:
        if self._monotonic() + wait > give_up_at:
            if self._rate < self._ceiling:
                self._note_refusal()
            raise UpstreamThrottled(
                "no room in the budget kept for Face", retry_after=wait, request_sent=False
            )
        return wait

    def _note_refusal(self) -> None:
        if self._now - self._refused_at > SERIES_GAP:
            self._refused_since = self._now
        self._refused_at = self._now

    def _advance(self) -> None:
        """Bring recent calls, tokens and rate up to the present."""
        now = self._monotonic()
        elapsed = now - self._now
        self._now = now
        self._recent_calls *= math.exp(-elapsed / USE_PERIOD)
        self._tokens += elapsed * self._rate
        self._create_tokens += elapsed * self._rate * CREATE_SHARE
        if self._rate < self._ceiling:
            self._rate = min(self._ceiling, self._recovered_rate())
            self._burst = max(2.0, self._rate)
        self._tokens = min(self._burst, self._tokens)
        self._create_tokens = min(self._burst * CREATE_SHARE, self._create_tokens)

    def _rate_in_use(self) -> float:
        # Recent seconds weigh as their calls do; there are fewer of them in a new instance.
        weight = 1.0 - math.exp(-(self._now - self._began) / USE_PERIOD)
        return self._recent_calls / max(1.0, USE_PERIOD * weight)

    def _recovered_rate(self) -> float:
        since = self._now - self._decreased_at
        calls = max(self._calls, since * LOWEST_RATE)
        recovered = min(since / RECOVERY_SECONDS, calls / RECOVERY_CALLS)
        missing, beyond = max(0.0, 1.0 - recovered), max(0.0, 8.0 * (recovered - 0.75))
        return self._too_high * (1.0 + (1.0 - DECREASE) * (beyond**3 - missing**3))
