"""Attacks on a region cost honest people little, as the page says."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fleet.attacks import (
    ATTACKS,
    Outcome,
    attack_table,
    bogus_ids,
    down,
    idle_sessions,
    known_devices,
    looping_phone,
    new_ids,
    new_ids_everywhere,
    simulate,
)

PAGE = Path(__file__).parents[3] / "docs" / "throttling.md"


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    """Leave out the thousands of lines about refused calls."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def cells(outcome: Outcome) -> list[str]:
    """The cells of an outcome in the table of the page."""
    return attack_table({"": [outcome]}).splitlines()[-1].split(" | ")[1:]


@pytest.mark.parametrize(
    ("attack", "signed_in", "completed", "of_targets"),
    [
        (idle_sessions, False, 0.95, 0.95),
        (looping_phone, False, 0.9, 0.8),
        (bogus_ids, False, 1.0, 1.0),
        (known_devices, True, 1.0, 1.0),
        (down, False, 0.99, 0.99),
        (new_ids, True, 0.95, 0.95),
        (new_ids_everywhere, True, 0.95, 0.95),
    ],
)
def test_honest_checks_are_completed_under_an_attack_as_the_page_says(
    attack: object, signed_in: bool, completed: float, of_targets: float
) -> None:
    """Also those of people behind the attacker's address, or whose device the attacker knows."""
    name = next(name for name, known in ATTACKS.items() if known is attack)
    outcome = simulate(ATTACKS[name], signed_in=signed_in)

    assert outcome.before == 1.0
    assert outcome.under >= completed
    assert outcome.neighbours >= of_targets
    table = PAGE.read_text("utf-8").partition("## Measured: a region under attack")[2]
    row = next(line for line in table.splitlines() if line.startswith(f"| {name} |"))
    shown = row.rstrip(" |").split(" | ")[3:5] if signed_in else row.split(" | ")[1:3]
    assert shown == [cell.rstrip(" |") for cell in cells(outcome)]


def test_the_same_arguments_give_the_same_outcome() -> None:
    """Nothing but the arguments decides."""
    first, again = (simulate(new_ids, signed_in=False, seed=3, seconds=10) for _ in range(2))
    assert first == again
