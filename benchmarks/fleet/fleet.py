"""The fleet itself: visits come to instances, ask the throttle, and take what room the upstream has."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from benchmarks.fleet.people import Kind, Visit, Visitor
from benchmarks.fleet.throttles import GiveBack, Throttle
from shared.errors import ComeBackLater, UpstreamThrottled
from shared.face.budget import CREATE_SHARE, Budget, Lane
from shared.web.responses import whole_seconds

_CREATE_DEADLINE = 8.0
_ON_THE_WAY = 0.2


@dataclass(slots=True)
class Tally:
    """What happened: requests, and those that the upstream took, by kind; what the throttle let through, by second."""

    asked: Counter[Kind] = field(default_factory=Counter)
    reached: Counter[Kind] = field(default_factory=Counter)
    let_through: Counter[int] = field(default_factory=Counter)

    def served(self, *kinds: Kind) -> float:
        """The share of the requests of these kinds that were served."""
        return sum(self.reached[kind] for kind in kinds) / max(1, sum(self.asked[kind] for kind in kinds))

    @property
    def busiest_second(self) -> int:
        """How many requests the throttle let through in the second in which it let most through."""
        return max(self.let_through.values(), default=0)


class Fleet:
    """Some instances behind a balancer that knows nobody, in front of an upstream with a ceiling.

    Each instance has its equal part of the ceiling (calls per second) as its budget, so that all together keep it.
    """

    def __init__(self, throttle: Throttle, *, instances: int, ceiling: float, chance: Random) -> None:
        monotonic = asyncio.get_running_loop().time
        self._throttle = throttle
        # Only creates come here, and they get a part of a budget's rate.
        rate = ceiling / CREATE_SHARE / instances
        self._budgets = [Budget(rate, monotonic=monotonic) for _ in range(instances)]
        self._chance = chance

    async def run(self, visits: Iterable[Visit], seconds: float) -> Tally:
        """Let the visits happen, and leave the last ones the time that a create may take; returning ends then."""
        loop, tally = asyncio.get_running_loop(), Tally()
        began = loop.time()
        tasks: set[asyncio.Task[None]] = set()
        for visit in sorted(visits, key=lambda visit: visit.at):
            if visit.at >= seconds:
                break
            await asyncio.sleep(began + visit.at - loop.time())
            task = loop.create_task(self._visit(visit, tally))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(began + seconds + _CREATE_DEADLINE - loop.time())
        await _end(tasks)
        return tally

    async def _visit(self, visit: Visit, tally: Tally) -> None:
        while True:
            wait = await self._request(visit.who, tally)
            if wait is None or not visit.returns:
                return
            await asyncio.sleep(whole_seconds(wait) + self._chance.uniform(0, _ON_THE_WAY))

    async def _request(self, who: Visitor, tally: Tally) -> float | None:
        """Answer in how many seconds the visitor is told to come back; None: it was served."""
        instance = self._chance.randrange(len(self._budgets))
        tally.asked[who.kind] += 1
        try:
            give_back = await self._throttle.ask(instance, who, self._budgets[instance].require_room)
            tally.let_through[int(asyncio.get_running_loop().time())] += 1
            await self._take_room(instance, give_back)
        except (ComeBackLater, UpstreamThrottled) as refusal:
            return refusal.retry_after or 0.0
        tally.reached[who.kind] += 1
        return None

    async def _take_room(self, instance: int, give_back: GiveBack) -> None:
        try:
            await self._budgets[instance].take(Lane.CREATE, _CREATE_DEADLINE)
        except UpstreamThrottled:
            # It never left: as `create_session` does, the charge is taken back.
            await give_back()
            raise


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    left = list(tasks)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
