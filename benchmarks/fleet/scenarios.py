"""The runs that are compared: each attack, under each throttle, with the same honest people."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.fleet import people
from benchmarks.fleet.algorithms import FixedWindow, SlidingCounter, TokenBucket
from benchmarks.fleet.fleet import Fleet, Tally
from benchmarks.fleet.people import Attack, Kind
from benchmarks.fleet.throttles import BrokerThrottle, PeerThrottle, Throttle
from shared.settings import Settings
from tests.support import time as virtual_time

_SETTINGS: Final = {"FACE_REGION": "westeurope", "FACE_KEY": "none-is-called"}


@dataclass(frozen=True, slots=True)
class Setup:
    """How large the fleet is: `ceiling` is what the upstream takes, in calls per second.

    `limits` are settings that are not left at their defaults, by name.
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
        """How long a run lasts."""
        return self.minutes * 60


@dataclass(frozen=True, slots=True)
class Scenario:
    """An attack, or a crowd.

    `nearby`: it comes from an address that honest devices share; `signed_in`: callers have accounts; `returning`: who
    was refused comes back when told to.
    """

    title: str
    attack: Attack
    nearby: bool = False
    signed_in: bool = False
    returning: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run.

    `neighbours` is the share served of honest devices behind the attacker's address, `busiest_second` the most that
    were let through in one second; None where that says nothing of the throttle.
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
        f"The same, signed in with {people.ACCOUNTS} accounts",
        people.new_ids_signed_in,
        signed_in=True,
    ),
    Scenario(
        f"Crowd: {people.CROWD} phones, {people.CROWD_ADDRESSES} addresses",
        people.crowd,
        returning=True,
    ),
)

MakeThrottle = Callable[[Settings, Setup, Random], Throttle]


def _broker(settings: Settings, setup: Setup, chance: Random) -> Throttle:
    return BrokerThrottle(
        settings, setup.instances, clock=virtual_time.virtual_clock, sleep=asyncio.sleep, chance=chance
    )


def _fixed_window(settings: Settings, setup: Setup, chance: Random) -> Throttle:
    return PeerThrottle(settings, FixedWindow, clock=virtual_time.virtual_clock, chance=chance)


def _fixed_window_charging(settings: Settings, setup: Setup, chance: Random) -> Throttle:
    return PeerThrottle(
        settings, FixedWindow, clock=virtual_time.virtual_clock, chance=chance, charges_refused=True
    )


def _sliding_counter(settings: Settings, setup: Setup, chance: Random) -> Throttle:
    return PeerThrottle(settings, SlidingCounter, clock=virtual_time.virtual_clock, chance=chance)


def _token_bucket(settings: Settings, setup: Setup, chance: Random) -> Throttle:
    return PeerThrottle(settings, TokenBucket, clock=virtual_time.virtual_clock, chance=chance)


THROTTLES: Final[dict[str, MakeThrottle]] = {
    "broker": _broker,
    "fixed window": _fixed_window,
    "fixed window, charging refusals": _fixed_window_charging,
    "sliding counter": _sliding_counter,
    "token bucket": _token_bucket,
}


def simulate(scenario: Scenario, make_throttle: MakeThrottle, setup: Setup) -> Result:
    """Run one scenario under one throttle, in virtual time; the same setup gives the same result."""
    return virtual_time.run_in_virtual_time(_simulate(scenario, make_throttle, setup))


async def _simulate(scenario: Scenario, make_throttle: MakeThrottle, setup: Setup) -> Result:
    # One source of chance for each part, so that all throttles meet the same people.
    chances = [Random(f"{setup.seed} {part}") for part in ("people", "attack", "fleet", "throttle")]  # noqa: S311
    throttle = make_throttle(setup.make_settings(), setup, chances[3])
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
