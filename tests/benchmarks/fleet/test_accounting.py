"""What a run of the fleet counts is what happened."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from benchmarks.fleet.fleet import Fleet, Tally
from benchmarks.fleet.people import Kind, Visit, Visitor
from benchmarks.fleet.throttles import GiveBack, RequireRoom, room_enough
from shared.errors import ClientThrottled
from tests.support import time as virtual_time

HONEST = Visitor(Kind.HONEST, "phone", "home")
NEIGHBOUR = Visitor(Kind.NEIGHBOUR, "phone-next-door", "office")
ATTACKER = Visitor(Kind.OTHER, "hammer", "office")


class ScriptedThrottle:
    """Refuses devices until a time in seconds, and writes down who asked when."""

    def __init__(self, **closed_until: float) -> None:
        self.asked: list[tuple[str, float]] = []
        self.given_back: list[str] = []
        self.store_calls = 0
        self._closed_until = closed_until

    async def ask(self, instance: int, who: Visitor, require_room: RequireRoom = room_enough) -> GiveBack:
        # Asks for no room beforehand, so that what finds none is seen to be given back.
        now = asyncio.get_running_loop().time()
        self.asked.append((who.device, now))
        if (wait := self._closed_until.get(who.device, 0) - now) > 0:
            raise ClientThrottled("closed", retry_after=wait)

        async def give_back() -> None:
            self.given_back.append(who.device)

        return give_back


def run(
    throttle: ScriptedThrottle, visits: Sequence[Visit], ceiling: float = 100, seconds: float = 30
) -> Tally:
    """Let visits happen to one instance."""

    async def happen() -> Tally:
        fleet = Fleet(throttle, instances=1, ceiling=ceiling, chance=Random(1))  # noqa: S311 - no secret.
        return await fleet.run(visits, seconds)

    return virtual_time.run_in_virtual_time(happen())


def test_requests_of_a_hand_made_case_are_counted_by_kind() -> None:
    """Of four honest requests one is refused, of three of the attacker's two; the shares say so."""
    throttle = ScriptedThrottle(phone=5, hammer=8)
    visits = [*(Visit(at, HONEST) for at in (4, 5, 6)), Visit(7, NEIGHBOUR)]
    tally = run(throttle, [*visits, *(Visit(at, ATTACKER) for at in (3, 7.5, 9))])
    assert tally.served(Kind.HONEST, Kind.NEIGHBOUR) == 0.75
    assert tally.served(Kind.HONEST) == pytest.approx(2 / 3)
    assert tally.served(Kind.NEIGHBOUR) == 1
    assert (tally.asked[Kind.OTHER], tally.reached[Kind.OTHER]) == (3, 1)


def test_what_finds_no_room_at_the_upstream_is_not_served_and_its_charge_taken_back() -> None:
    """At one create a second, one is admitted at once and two more wait for their turn; the others may not."""
    throttle = ScriptedThrottle()
    tally = run(throttle, [Visit(0, HONEST)] * 5, ceiling=1)
    assert (tally.served(Kind.HONEST), throttle.given_back) == (0.6, ["phone"] * 2)


def test_who_still_waits_when_the_last_visit_was_made_is_counted() -> None:
    """The run goes on until a create that was begun in its last moment has ended."""
    assert run(ScriptedThrottle(), [Visit(29.9, HONEST)] * 3, ceiling=1).served(Kind.HONEST) == 1


def test_visits_after_the_end_are_left_out() -> None:
    """Nobody asks once the time is over."""
    assert run(ScriptedThrottle(), [Visit(30, HONEST)]).asked.total() == 0


def test_who_returns_comes_back_when_told_to_and_then_no_more() -> None:
    """A wait of 3.5 s is told as 4 s; the way takes up to 0.2 s more."""
    throttle = ScriptedThrottle(hammer=5)
    tally = run(throttle, [Visit(1.5, ATTACKER, returns=True)])
    (_, first), (_, second) = throttle.asked
    assert first == 1.5
    assert 5.5 <= second <= 5.7
    assert (tally.asked[Kind.OTHER], tally.reached[Kind.OTHER]) == (2, 1)


def test_the_busiest_second_counts_what_the_throttle_let_through() -> None:
    """Three came within one second, two of them past the throttle; one came later."""
    throttle = ScriptedThrottle(hammer=10)
    visits = [Visit(2.1, HONEST), Visit(2.5, ATTACKER), Visit(2.9, HONEST), Visit(3.0, HONEST)]
    assert run(throttle, visits).busiest_second == 2


def test_a_run_without_requests_has_served_nobody() -> None:
    """A share of nothing is 0, not an error."""
    tally = run(ScriptedThrottle(), [])
    assert (tally.served(Kind.HONEST), tally.busiest_second) == (0, 0)
