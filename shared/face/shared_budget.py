"""What all instances together may ask of Face, shared out among those that are asking."""

import json
import logging
import math
import random as random_numbers
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from shared.clock import Clock
from shared.errors import EntityChanged, StorageUnavailable
from shared.face.budget import LONGEST_PAUSE, Budget, Lane
from shared.flight import Flight
from shared.storage.port import Entity, EntityStore, Table
from shared.telemetry import log_event

BEAT_MS: Final = 10_000
"""How often an instance says that it is there, as long as it calls Face."""

ALIVE_MS: Final = 3 * BEAT_MS
"""For how long that counts."""

_RETRY_MS: Final = 1_000
_MOST_TOLD: Final = 300
_KEY: Final = "face-budget"

_logger = logging.getLogger(__name__)


class SharedBudget:
    """A `Budget` of this instance's part of the rate: what the others leave, and an equal part in any case.

    They know of each other by one row of the store, in which each writes how many calls a second it makes, about every
    ten seconds, beside its calls; only an instance's first call waits for it. Face's pauses are told in the same row,
    so that one instance's 429 keeps all away. What has changed is known to all within some beats, an instance that has
    gone is forgotten after thirty seconds; until then, and while the store fails, each goes by what it knew last, and
    all together may make more calls than the rate. `instance` is a name of this one alone, `random` answers numbers
    from 0 to 1.
    """

    def __init__(
        self,
        budget: Budget,
        store: EntityStore,
        clock: Clock,
        *,
        instance: str,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        self._budget = budget
        self._whole = budget.rate
        self._calls = 0
        self._store = store
        self._clock = clock
        self._instance = instance
        self._random = random
        self._beat_at: int | None = None
        self._said_at: int | None = None
        self._next_after = 0
        # The end of a pause that the others do not know of yet, in unix milliseconds; 0: they know all.
        self._untold_until = 0
        self._flight = Flight("share the budget of Face")

    async def take(self, lane: Lane, within: float) -> None:
        """Wait for leave to make one call, as `Budget.take` does."""
        if self._beat_at is None:
            self._flight.start(self._beat)
            await self._flight.landed()
        elif self._is_due():
            self._flight.start(self._beat)
        await self._budget.take(lane, within)
        self._calls += 1

    def require_room(self) -> None:
        """Raise `UpstreamThrottled` where a create that came now would be refused, as `Budget.require_room` does."""
        self._budget.require_room()

    def pause(self, seconds: float) -> None:
        """Admit nobody, on any instance, for `seconds`, after Face said that it has no room."""
        self._budget.pause(seconds)
        until = self._clock() + round(min(seconds, LONGEST_PAUSE) * 1000)
        self._untold_until = max(self._untold_until, until)
        self._flight.start(self._beat)

    async def aclose(self) -> None:
        """End what is under way."""
        await self._flight.aclose()

    def _is_due(self) -> bool:
        since = self._clock() - (self._beat_at or 0)
        # A beat that is still to come was stamped before the clock was set back.
        return not 0 <= since < (min(self._next_after, _RETRY_MS) if self._untold_until else self._next_after)

    async def _beat(self) -> None:
        self._beat_at = self._clock()
        # Not all at the same moment, again and again.
        self._next_after = round(BEAT_MS * (0.8 + 0.2 * self._random()))
        try:
            await self._say(self._beat_at)
        except EntityChanged:
            # Another one did so at the same time. What was read counts all the same, and this one says so soon.
            self._next_after = round(_RETRY_MS * self._random())
        except StorageUnavailable as fault:
            log_event(_logger, logging.WARNING, "face_share_unknown", detail=fault.detail)

    async def _say(self, now: int) -> None:
        """Read who else is there, and write that this one is; raises `EntityChanged` where another did meanwhile."""
        stored = await self._store.get(Table.THROTTLE, _KEY)
        values = stored.values if stored else {}
        others = {name: use for name, use in _present(values, now).items() if name != self._instance}
        untold = self._untold_until
        until = max(_paused_until(values, now), untold)
        left = self._whole - sum(use.rate for use in others.values())
        self._budget.change_rate(max(left, self._whole / (len(others) + 1)))
        if until > now:
            self._budget.pause((until - now) / 1000)
        # The newest alone, so that whatever is started how often, the row can be written.
        newest = sorted(others.items(), key=lambda other: other[1].at)[-_MOST_TOLD:]
        said = {**dict(newest), self._instance: _Use(now, self._rate_until(now))}
        row = Entity(
            _KEY,
            {"instances": json.dumps(said), "paused_until": until},
            max(now + ALIVE_MS, until),
            stored.etag if stored else "",
        )
        calls = self._calls
        await self._store.write_together(Table.THROTTLE, [row])
        if self._untold_until == untold:
            self._untold_until = 0
        self._said_at = now
        self._calls -= calls

    def _rate_until(self, now: int) -> float:
        """Calls a second since this instance last said so."""
        if self._said_at is None or now <= self._said_at:
            return 0.0
        return round(self._calls * 1000 / (now - self._said_at), 3)


class _Use(NamedTuple):
    """When an instance said how many calls a second it makes."""

    at: int
    rate: float


def _present(values: Mapping[str, object], now: int) -> dict[str, _Use]:
    """Who said lately that it is there; a row that cannot be read says of nobody."""
    try:
        said = json.loads(str(values.get("instances", "{}")))
        uses = {str(name): _Use(int(at), float(rate)) for name, (at, rate) in said.items()}
    except (AttributeError, OverflowError, TypeError, ValueError):
        return {}
    return {
        name: use for name, use in uses.items() if abs(now - use.at) < ALIVE_MS and 0 <= use.rate < math.inf
    }


def _paused_until(values: Mapping[str, object], now: int) -> int:
    until = values.get("paused_until")
    # Nobody is kept away for longer than the longest pause, whatever the row says.
    return min(until, now + round(LONGEST_PAUSE * 1000)) if isinstance(until, int) else 0
