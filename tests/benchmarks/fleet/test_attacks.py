"""Attacks on a region cost honest people little, as the page says."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.fleet.attacks import (
    ATTACK_SECONDS,
    ATTACKS,
    LASTING,
    PATIENCE_FOR_RESULT,
    Outcome,
    attack_table,
    down,
    looping_phone,
    nobody,
    simulate,
)
from tests.support.processes import SOAK

PAGE = Path(__file__).parents[3] / "docs" / "throttling.md"


def cells(outcome: Outcome) -> list[str]:
    """The cells of an outcome in the table of the page."""
    return attack_table({"": [outcome]}).splitlines()[-1].split(" | ")[1:]


# The least shares of honest checks, of all and of those aimed at. All others are what the page says.
AT_LEAST: Mapping[tuple[str, bool], tuple[float, float]] = {
    ("30 idle sessions of one address, polled", False): (0.95, 0.95),
    ("A phone that loops at Face", False): (0.9, 0.9),
    ("A phone that loops at Face", True): (0.9, 0.9),
    ("Bogus ids from a carrier's address", False): (1.0, 1.0),
    ("Five creates with the id of a known device", True): (1.0, 1.0),
    ("The same until its token ends: ten minutes", False): (0.9, 0.9),
    ("The same until its token ends: ten minutes", True): (0.9, 0.9),
    ("A minute of Face's 500s", False): (0.99, 0.99),
    ("A minute of Face's 500s", True): (0.99, 0.99),
    ("New ids, one address", True): (0.95, 0.95),
    ("New ids, 250 addresses, 20 accounts", True): (0.95, 0.95),
}


# The long form plays all rows of the page.
PLAYED = [(name, signed_in) for name in ATTACKS for signed_in in (False, True)] if SOAK else list(AT_LEAST)


@pytest.mark.parametrize(("name", "signed_in"), PLAYED)
def test_honest_checks_are_completed_under_an_attack_as_the_page_says(name: str, signed_in: bool) -> None:
    """Also those of people behind the attacker's address, or whose device the attacker knows."""
    outcome = simulate(ATTACKS[name], signed_in=signed_in, seconds=LASTING.get(name, ATTACK_SECONDS))

    assert outcome.before == 1.0
    completed, of_targets = AT_LEAST.get((name, signed_in), (0.0, 0.0))
    assert outcome.under >= completed
    assert outcome.neighbours >= of_targets
    table = PAGE.read_text("utf-8").partition("## Measured: a region under attack")[2]
    row = next(line for line in table.splitlines() if line.startswith(f"| {name} |"))
    shown = row.rstrip(" |").split(" | ")[3:5] if signed_in else row.split(" | ")[1:3]
    assert shown == [cell.rstrip(" |") for cell in cells(outcome)]


def test_phone_that_loops_is_cut_off_and_nobody_else() -> None:
    """One seed is luck: the long form has three."""
    seeds = (21, 22, 23) if SOAK else (21,)
    outcomes = [simulate(looping_phone, signed_in=True, seed=seed, seconds=600) for seed in seeds]

    assert {outcome.cut_off for outcome in outcomes} == {1}
    assert min(outcome.under for outcome in outcomes) >= 0.9


@pytest.mark.parametrize(
    ("instances", "load"), [(4, 1.0), (4, 1 / 3), *([(1, 1.0), (40, 1.0)] if SOAK else [])]
)
def test_honest_people_are_not_cut_off(instances: int, load: float) -> None:
    """Not even where they begin as many checks as Face can carry, so that its 429s last."""
    assert simulate(nobody, signed_in=False, seconds=420, instances=instances, load=load).cut_off == 0


def test_nobody_is_cut_off_after_face_was_down() -> None:
    """All come back at once then, and Face refuses many of them."""
    assert simulate(down, signed_in=False, seconds=300).cut_off == 0


def test_people_wait_for_a_result_as_the_client_does() -> None:
    """One patience for all attacks: a longer one hides what an attack costs."""
    client = (PAGE.parents[1] / "clients/javascript/liveness.js").read_text("utf-8")
    assert re.findall(r"^const RESULT_SECONDS = (\d+);$", client, re.MULTILINE) == [
        f"{PATIENCE_FOR_RESULT:.0f}"
    ]
