"""The throttles of the simulated fleet: the broker's own limiter on each instance, or a peer that all share."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol
from zlib import crc32

from benchmarks.fleet.algorithms import Algorithm
from benchmarks.fleet.people import Visitor
from shared.errors import ClientThrottled
from shared.keys.secret import Secret
from shared.pseudonyms import Pseudonyms
from shared.settings import Settings
from shared.throttle.limiter import Limiter, spread
from shared.throttle.policy import Policy, Window
from shared.throttle.subjects import Subjects
from tests.support.intercepted import Call, Effect
from tests.support.store import FakeStore
from tests.support.time import virtual_clock

GiveBack = Callable[[], Awaitable[None]]
RequireRoom = Callable[[], None]


def room_enough() -> None:
    """Have room at the upstream."""


# Seconds that one call of the store takes: as of Table Storage within a region.
_SHORTEST_CALL = 0.005
_LONGEST_CALL = 0.020


class Throttle(Protocol):
    """Decides about requests, whichever instance they come to."""

    @property
    def store_calls(self) -> int:
        """The number of calls of the store so far."""
        ...

    async def ask(self, instance: int, who: Visitor, require_room: RequireRoom = room_enough) -> GiveBack:
        """Admit a request, or raise a `ComeBackLater`. The function returned takes the charge back.

        `require_room` raises `UpstreamThrottled` where the instance has no room at the upstream: nothing is charged
        then.
        """
        ...


class BrokerThrottle:
    """The broker's limits and limiters as they are deployed, one limiter per instance, over one store."""

    def __init__(self, settings: Settings, instances: int, chance: Random) -> None:
        self._pseudonyms = Pseudonyms(_Pepper())
        self._subjects = Subjects(settings, self._pseudonyms)
        self._store = FakeStore()
        self._store.around = _Travel()
        self._limiters = [Limiter(self._store, virtual_clock, random=chance.random) for _ in range(instances)]

    @property
    def store_calls(self) -> int:
        """The number of reads and writes."""
        return len(self._store.calls)

    async def ask(self, instance: int, who: Visitor, require_room: RequireRoom = room_enough) -> GiveBack:
        """Do what a create does before it calls the upstream."""
        [pepper] = await self._pseudonyms.peppers()
        device = pepper.of("device", who.device)
        subjects = self._subjects.of_create(pepper, device, who.principal, who.network)
        limiter = self._limiters[instance]
        limiter.require_not_refused(subjects)
        require_room()
        admission = await limiter.admit(subjects)
        return lambda: limiter.refund(admission)


class PeerThrottle:
    """One algorithm for the same limits, without any delay: one call of a store that can decide by itself.

    A charge that is taken back is one more call. All limits of a request are charged or none, as by the broker. With
    `charges_refused` each is charged in any case, as by a proxy that increments first and looks afterwards. The
    `Retry-After` is spread as the broker's.
    """

    def __init__(
        self,
        settings: Settings,
        algorithm: Callable[[Window], Algorithm],
        chance: Random,
        *,
        charges_refused: bool = False,
    ) -> None:
        self._settings = settings
        self._algorithm = algorithm
        self._chance = chance
        self._charges_refused = charges_refused
        self._states: dict[str, list[Algorithm]] = {}
        self.store_calls = 0

    async def ask(self, instance: int, who: Visitor, require_room: RequireRoom = room_enough) -> GiveBack:
        """Look at all limits, and charge them."""
        require_room()
        self.store_calls += 1
        states, now = self._of(who), virtual_clock()
        wait = max(state.wait(now) for state in states)
        if not wait or self._charges_refused:
            for state in states:
                state.take(now)
        if wait:
            raise ClientThrottled("a peer", retry_after=spread(wait, self._chance.random) / 1000)

        async def give_back() -> None:
            self.store_calls += 1
            for state in states:
                state.give_back(virtual_clock())

        return give_back

    def _of(self, who: Visitor) -> list[Algorithm]:
        settings = self._settings
        states = self._under(f"device {who.device}", settings.throttle_device)
        states = states + self._under(f"client {who.network}", settings.throttle_client)
        return states + (self._under(who.principal, settings.throttle_principal) if who.principal else [])

    def _under(self, key: str, policy: Policy) -> list[Algorithm]:
        if key not in self._states:
            self._states[key] = [self._algorithm(window) for window in policy.windows]
        return self._states[key]


class _Travel:
    """Lets each call take a while before and after it has its effect.

    The time follows from its key and its number among those for this key: not from the order in which calls for
    different keys are made. That is the order of a set of strings, which differs between processes.
    """

    def __init__(self) -> None:
        self._numbers: Counter[str] = Counter()

    async def __call__(self, call: Call, effect: Effect) -> object:
        key = call.keys[0]
        self._numbers[key] += 1
        share = crc32(f"{key} {self._numbers[key]}".encode()) / 2**32
        half = (_SHORTEST_CALL + share * (_LONGEST_CALL - _SHORTEST_CALL)) / 2
        await asyncio.sleep(half)
        try:
            return await effect()
        finally:
            await asyncio.sleep(half)


class _Pepper:
    """The pepper of all instances. It decides how long each call travels, and so the figures of docs/throttling.md."""

    async def get(self) -> Secret:
        return Secret("the same on all instances")

    async def refresh(self, refused: Secret) -> Secret:
        return await self.get()
