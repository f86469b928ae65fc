"""What the throttles of the simulation charge, and how many calls of a store that takes."""

from collections.abc import Callable
from random import Random

import pytest

from benchmarks.fleet.algorithms import FixedWindow
from benchmarks.fleet.people import Kind, Visitor
from benchmarks.fleet.throttles import BrokerThrottle, PeerThrottle, Throttle
from shared.errors import Throttled
from shared.settings import Settings
from tests.support.time import run_in_virtual_time

CHANCE = Random(1)  # noqa: S311 - no secret.
SETTINGS = Settings.from_mapping(
    {"FACE_REGION": "westeurope", "FACE_KEY": "key", "THROTTLE_DEVICE": "1/10m", "THROTTLE_CLIENT": "2/10m"}
)

Make = Callable[[], Throttle]


def broker() -> BrokerThrottle:
    """Build the broker's, on two instances."""
    return BrokerThrottle(SETTINGS, 2, CHANCE)


def peer(*, charges_refused: bool = False) -> PeerThrottle:
    """Build one that charges all limits or none, or refused calls too."""
    return PeerThrottle(SETTINGS, FixedWindow, CHANCE, charges_refused=charges_refused)


async def admits(
    throttle: Throttle, device: str, instance: int = 0, network: str = "office", principal: str | None = None
) -> bool:
    """Ask for a device behind an address, and return whether it was admitted."""
    try:
        await throttle.ask(instance, Visitor(Kind.OTHER, device, network, principal))
    except Throttled:
        return False
    return True


@pytest.mark.parametrize(
    ("make", "expected"),
    [(broker, True), (peer, True), (lambda: peer(charges_refused=True), False)],
    ids=["broker", "peer", "charging peer"],
)
def test_a_refused_device_uses_up_its_neighbours_room_only_where_refusals_are_charged(
    make: Make, expected: bool
) -> None:
    """One device asks three times; a second one behind the same address, with room for two, comes after it."""

    async def happen() -> tuple[bool, ...]:
        throttle = make()
        hammering = [await admits(throttle, "hammer") for _ in range(3)]
        return (*hammering, await admits(throttle, "phone"))

    assert run_in_virtual_time(happen()) == (True, False, False, expected)


@pytest.mark.parametrize("make", [broker, peer])
def test_a_charge_given_back_makes_room_for_the_next(make: Make) -> None:
    """The device's only charge is taken back, and it may ask again."""

    async def happen() -> bool:
        throttle = make()
        give_back = await throttle.ask(0, Visitor(Kind.HONEST, "phone", "home"))
        await give_back()
        return await admits(throttle, "phone")

    assert run_in_virtual_time(happen())


@pytest.mark.parametrize("make", [broker, peer])
def test_a_caller_who_signed_in_is_limited_as_such(make: Make) -> None:
    """Ten creates of an account with a new device and address each are admitted, the next is not."""

    async def happen() -> list[bool]:
        throttle = make()
        return [
            await admits(throttle, f"device-{number}", network=f"bot-{number}", principal="account")
            for number in range(11)
        ]

    assert run_in_virtual_time(happen()) == [True] * 10 + [False]


def test_store_calls_of_the_broker_are_counted_one_by_one() -> None:
    """A create writes two rows at once. The first refusal elsewhere is a lost write and two reads; others are free."""
    calls = []

    async def happen() -> None:
        throttle = broker()
        for instance in (0, 1, 1, 1):
            await admits(throttle, "phone", instance)
            calls.append(throttle.store_calls)

    run_in_virtual_time(happen())
    assert calls == [1, 4, 4, 4]


def test_store_calls_of_a_peer_are_one_for_each_request_and_each_refund() -> None:
    """Two requests, of which the second is refused, and one charge taken back: three calls."""

    async def happen() -> int:
        throttle = peer()
        give_back = await throttle.ask(0, Visitor(Kind.HONEST, "phone", "home"))
        await admits(throttle, "phone")
        await give_back()
        return throttle.store_calls

    assert run_in_virtual_time(happen()) == 3
