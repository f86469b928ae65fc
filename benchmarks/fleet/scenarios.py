"""The runs that are compared: each attack, under each throttle, with the same honest people."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.fleet import people
from benchmarks.fleet.algorithms import Algorithm, FixedWindow, SlidingCounter, TokenBucket
from benchmarks.fleet.fleet import Fleet, Tally
from benchmarks.fleet.people import Attack, Kind
from benchmarks.fleet.throttles import BrokerThrottle, PeerThrottle, Throttle
from shared.settings import Settings
from shared.throttle.policy import Window
from tests.support.time import run_in_virtual_time

_SETTINGS: Final = {"FACE_REGION": "westeurope", "FACE_KEY": "none-is-called"}


@dataclass(frozen=True, slots=True)
class Setup:
    """The size of the fleet. `ceiling` is the calls per second that the upstream takes.

    `limits` are the settings that differ from their defaults, by name.
    """

    seed: int = 1
    minutes: float = 12.0
    instances: int = 4
    devices: int = 1_200
    ceiling: float = 10.0
    limits: tuple[tuple[str, str], ...] = ()

    def make_settings(self) -> Settings:
        """Make the settings of the instances; raises a `SettingsError` for an invalid limit."""
        return Settings.from_mapping(_SETTINGS | dict(self.limits))

    @property
    def seconds(self) -> float:
        """The length of a run."""
        return self.minutes * 60


@dataclass(frozen=True, slots=True)
class Scenario:
    """An attack, or a crowd.

    `nearby`: it comes from an address that honest devices share. `signed_in`: callers have accounts. `returning`:
    callers come back after a refusal.
    """

    title: str
    attack: Attack
    nearby: bool = False
    signed_in: bool = False
    returning: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a run.

    `neighbours` is the share served of honest devices behind the attacker's address, `busiest_second` the most that
    were let through in one second; None where that says nothing about the throttle.
    """

    honest: float
    neighbours: float | None
    others_asked: int
    others_reached: int
    busiest_second: int | None
    asked: int
    store_calls: int


SCENARIOS: Final = (
    Scenario("No attack", people.nobody),
    Scenario("One device hammering", people.hammering, nearby=True),
    Scenario(f"{people.PATIENT} devices, timed for the clock's window", people.timing),
    Scenario("New ids, one address", people.new_ids_here, nearby=True),
    Scenario(f"New ids, {people.FEW} addresses", people.new_ids_from_few),
    Scenario(f"New ids, {people.MANY:,} addresses", people.new_ids_from_many),
    Scenario(
        f"The same, signed in with {people.ACCOUNTS} accounts", people.new_ids_signed_in, signed_in=True
    ),
    Scenario(
        f"Crowd: {people.CROWD} phones, {people.CROWD_ADDRESSES} addresses", people.crowd, returning=True
    ),
)

MakeThrottle = Callable[[Settings, int, Random], Throttle]
"""Makes a throttle for a number of instances."""


def _peer(algorithm: Callable[[Window], Algorithm], *, charges_refused: bool = False) -> MakeThrottle:
    def make(settings: Settings, instances: int, chance: Random) -> Throttle:
        return PeerThrottle(settings, algorithm, chance, charges_refused=charges_refused)

    return make


THROTTLES: Final[dict[str, MakeThrottle]] = {
    "broker": BrokerThrottle,
    "fixed window": _peer(FixedWindow),
    "fixed window, charging refusals": _peer(FixedWindow, charges_refused=True),
    "sliding counter": _peer(SlidingCounter),
    "token bucket": _peer(TokenBucket),
}


def simulate(scenario: Scenario, make_throttle: MakeThrottle, setup: Setup) -> Result:
    """Run one scenario under one throttle, in virtual time; the same setup gives the same result."""
    return run_in_virtual_time(_simulate(scenario, make_throttle, setup))


async def _simulate(scenario: Scenario, make_throttle: MakeThrottle, setup: Setup) -> Result:
    # One source of chance for each part, so that all throttles meet the same people.
    chances = [Random(f"{setup.seed} {part}") for part in ("people", "attack", "fleet", "throttle")]  # noqa: S311
    throttle = make_throttle(setup.make_settings(), setup.instances, chances[3])
    fleet = Fleet(throttle, instances=setup.instances, ceiling=setup.ceiling, chance=chances[2])
    visits = [
        *people.honest_visits(chances[0], setup.seconds, setup.devices, signed_in=scenario.signed_in),
        *scenario.attack(chances[1], setup.seconds),
    ]
    return _result(scenario, await fleet.run(visits, setup.seconds), throttle)


def _result(scenario: Scenario, tally: Tally, throttle: Throttle) -> Result:
    return Result(
        honest=tally.served(Kind.HONEST, Kind.NEIGHBOUR),
        neighbours=tally.served(Kind.NEIGHBOUR) if scenario.nearby else None,
        others_asked=tally.asked[Kind.OTHER],
        others_reached=tally.reached[Kind.OTHER],
        busiest_second=tally.busiest_second if scenario.returning else None,
        asked=tally.asked.total(),
        store_calls=throttle.store_calls,
    )
