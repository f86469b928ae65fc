"""What decides in the simulated fleet: the broker's own limiter on each instance, or a peer that all share."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final, Protocol, TypeVar
from zlib import crc32

from benchmarks.fleet.algorithms import Algorithm
from benchmarks.fleet.people import Visitor
from benchmarks.observed_store import ObservedStore
from shared.clock import Clock, Sleep
from shared.errors import ClientThrottled
from shared.keys.secret import Secret, StaticSecret
from shared.pseudonyms import Pseudonyms
from shared.settings import Settings
from shared.storage.memory import MemoryStore
from shared.storage.port import Table
from shared.throttle.limiter import Limiter, spread
from shared.throttle.policy import Policy, Window
from shared.throttle.subjects import Subjects

T = TypeVar("T")

GiveBack = Callable[[], Awaitable[None]]
RequireRoom = Callable[[], None]


def room_enough() -> None:
    """Have room at the upstream."""


_SHORTEST_CALL: Final = 0.005
_LONGEST_CALL: Final = 0.020
"""Seconds that one call of the store takes: what Table Storage takes within a region."""


class Throttle(Protocol):
    """Decides about requests, whichever instance they come to."""

    @property
    def store_calls(self) -> int:
        """How many calls of the store that took so far."""
        ...

    async def ask(self, instance: int, who: Visitor, require_room: RequireRoom = room_enough) -> GiveBack:
        """Admit a request, or raise a `ComeBackLater`; what is answered takes the charge back.

        `require_room` raises `UpstreamThrottled` where the instance has none at the upstream: nothing is charged then.
        """
        ...


class BrokerThrottle:
    """The broker's limits and limiters as they are deployed, one limiter per instance, over one store."""

    def __init__(
        self, settings: Settings, instances: int, *, clock: Clock, sleep: Sleep, chance: Random
    ) -> None:
        self._pseudonyms = Pseudonyms(StaticSecret(Secret("a-pepper"), name="ID_PEPPER"))
        self._subjects = Subjects(settings, self._pseudonyms)
        self._travel = _Travel(sleep)
        store = ObservedStore(MemoryStore(), self._travel)
        self._limiters = [Limiter(store, clock, random=chance.random, sleep=sleep) for _ in range(instances)]

    @property
    def store_calls(self) -> int:
        """How many reads and writes there were."""
        return self._travel.calls

    async def ask(self, instance: int, who: Visitor, require_room: RequireRoom = room_enough) -> GiveBack:
        """Do what a create does before it turns to the upstream."""
        device = await self._pseudonyms.of("device", who.device)
        subjects = await self._subjects.of_create(device, who.principal, who.network)
        limiter = self._limiters[instance]
        limiter.require_not_refused(subjects)
        require_room()
        admission = await limiter.admit(subjects)
        return lambda: limiter.refund(admission)


class PeerThrottle:
    """One algorithm for the same limits, without any delay: one call of a store that can decide by itself.

    A charge that is taken back is one more call. All limits of a request are charged or none, as by the broker; with
    `charges_refused`, each is charged in any case, which is what a proxy does that increments first and looks
    afterwards. Who is refused is told to come back as by the broker: spread over a little more than the wait.
    """

    def __init__(
        self,
        settings: Settings,
        algorithm: Callable[[Window], Algorithm],
        *,
        clock: Clock,
        chance: Random,
        charges_refused: bool = False,
    ) -> None:
        self._settings = settings
        self._algorithm = algorithm
        self._clock = clock
        self._chance = chance
        self._charges_refused = charges_refused
        self._states: dict[str, list[Algorithm]] = {}
        self.store_calls = 0

    async def ask(self, instance: int, who: Visitor, require_room: RequireRoom = room_enough) -> GiveBack:
        """Look at all limits, and charge them."""
        require_room()
        self.store_calls += 1
        states, now = self._of(who), self._clock()
        wait = max(state.wait(now) for state in states)
        if not wait or self._charges_refused:
            for state in states:
                state.take(now)
        if wait:
            raise ClientThrottled("a peer", retry_after=spread(wait, self._chance.random) / 1000)

        async def give_back() -> None:
            self.store_calls += 1
            for state in states:
                state.give_back(self._clock())

        return give_back

    def _of(self, who: Visitor) -> Sequence[Algorithm]:
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

    How long follows from its key and its number among those for this key: not from the order in which calls for
    different keys are made, which is that of a set of strings, and so another one in each process.
    """

    def __init__(self, sleep: Sleep) -> None:
        self._sleep = sleep
        self._calls: Counter[str] = Counter()

    @property
    def calls(self) -> int:
        return self._calls.total()

    async def __call__(self, table: Table, key: str, call: Callable[[], Awaitable[T]]) -> T:
        self._calls[key] += 1
        share = crc32(f"{key} {self._calls[key]}".encode()) / 2**32
        half = (_SHORTEST_CALL + share * (_LONGEST_CALL - _SHORTEST_CALL)) / 2
        await self._sleep(half)
        try:
            return await call()
        finally:
            await self._sleep(half)
