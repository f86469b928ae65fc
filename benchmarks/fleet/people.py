"""The callers of the fleet and the times of their requests: honest people and attackers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from tests.support.time import START_MS

OFFICE: Final = "office"
"""The address that attackers from one place share with some honest devices."""

NEIGHBOURS: Final = 15
FEW: Final = 20
MANY: Final = 1_000
"""Addresses of an attack from many places: too many for any limit by address."""
ACCOUNTS: Final = 20
"""What the attacker has of sign-ins that the operator's identity provider gave him."""
ATTACK_PER_SECOND: Final = 30.0
CROWD: Final = 300
CROWD_ADDRESSES: Final = 3
PATIENT: Final = 10

_TRIES: Final = (1, 1, 1, 2, 2, 3)
_SHORTEST_PAUSE: Final = 20.0
_LONGEST_PAUSE: Final = 60.0

_TURN: Final = 600 - START_MS / 1000 % 600
"""The second at which a new window of ten minutes of the clock begins."""
_AHEAD: Final = 10.0
_PATIENT_STEP: Final = 2.0


class Kind(Enum):
    """How a visitor is counted; neighbours are honest devices behind the attacker's own address."""

    HONEST = "honest"
    NEIGHBOUR = "neighbour"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: the ids that limits count by."""

    kind: Kind
    device: str
    network: str
    principal: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody asks at a time, in seconds; who `returns` asks again when told to, until there is a session."""

    at: float
    who: Visitor
    returns: bool = False


Attack = Callable[[Random, float], Iterator[Visit]]
"""Makes up the visits of some seconds."""


def honest_visits(chance: Random, seconds: float, devices: int, *, signed_in: bool) -> Iterator[Visit]:
    """Each device turns up once and makes one to three sessions, less than a minute apart; two share an address."""
    for number in range(devices):
        is_neighbour = number < NEIGHBOURS
        who = Visitor(
            Kind.NEIGHBOUR if is_neighbour else Kind.HONEST,
            f"phone-{number}",
            OFFICE if is_neighbour else f"home-{number // 2}",
            f"person-{number}" if signed_in else None,
        )
        at = chance.uniform(0, seconds)
        for _ in range(chance.choice(_TRIES)):
            yield Visit(at, who)
            at += chance.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE)


def nobody(chance: Random, seconds: float) -> Iterator[Visit]:
    """No attack."""
    return iter(())


def hammering(chance: Random, seconds: float) -> Iterator[Visit]:
    """One device asks all the time, whatever it is told."""
    who = Visitor(Kind.OTHER, "hammer", OFFICE)
    return (Visit(at, who) for at in _times(chance, seconds))


def timing(chance: Random, seconds: float) -> Iterator[Visit]:
    """Some devices begin to ask just before a new window of the clock, and go on; each has its own address."""
    for number in range(PATIENT):
        who = Visitor(Kind.OTHER, f"patient-{number}", f"patient-home-{number}")
        at = _TURN - _AHEAD + chance.uniform(0, _PATIENT_STEP)
        while at < seconds:
            yield Visit(at, who)
            at += _PATIENT_STEP


def new_ids_here(chance: Random, seconds: float) -> Iterator[Visit]:
    """Each request names a device that was never seen, all from one address."""
    return _new_ids(chance, seconds, [OFFICE])


def new_ids_from_few(chance: Random, seconds: float) -> Iterator[Visit]:
    """The same from some addresses."""
    return _new_ids(chance, seconds, [f"bot-{number}" for number in range(FEW)])


def new_ids_from_many(chance: Random, seconds: float) -> Iterator[Visit]:
    """The same from many addresses, each of which asks for less than a limit by address would refuse."""
    return _new_ids(chance, seconds, [f"bot-{number}" for number in range(MANY)])


def new_ids_signed_in(chance: Random, seconds: float) -> Iterator[Visit]:
    """The same once more, but callers have to sign in, and the attacker has few accounts."""
    for visit in new_ids_from_many(chance, seconds):
        who = visit.who
        account = f"account-{chance.randrange(ACCOUNTS)}"
        yield Visit(visit.at, Visitor(Kind.OTHER, who.device, who.network, account))


def crowd(chance: Random, seconds: float) -> Iterator[Visit]:
    """Many phones behind a few addresses ask within a minute, and each comes back exactly when it is told to."""
    for number in range(CROWD):
        who = Visitor(Kind.OTHER, f"crowd-{number}", f"hall-{number % CROWD_ADDRESSES}")
        yield Visit(chance.uniform(0, 60), who, returns=True)


def _new_ids(chance: Random, seconds: float, networks: Sequence[str]) -> Iterator[Visit]:
    for number, at in enumerate(_times(chance, seconds)):
        yield Visit(at, Visitor(Kind.OTHER, f"made-up-{number}", chance.choice(networks)))


def _times(chance: Random, seconds: float) -> Iterator[float]:
    at = chance.expovariate(ATTACK_PER_SECOND)
    while at < seconds:
        yield at
        at += chance.expovariate(ATTACK_PER_SECOND)
