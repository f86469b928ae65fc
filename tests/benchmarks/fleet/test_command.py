"""What the command prints is what the page about limits shows."""

import sys
from pathlib import Path

import pytest

from benchmarks.fleet import people
from benchmarks.fleet.__main__ import main
from benchmarks.fleet.report import fleet_tables, setup_line
from benchmarks.fleet.scenarios import SCENARIOS, THROTTLES, Result, Setup, simulate
from benchmarks.fleet.throttles import BrokerThrottle

# On one worker, so that each simulation runs once.
pytestmark = pytest.mark.xdist_group("tables")

PAGE = Path(__file__).parents[3] / "docs" / "throttling.md"


Results = dict[str, dict[str, Result]]


@pytest.fixture(scope="module")
def as_on_the_page() -> Results:
    """The runs of the page about limits that take little time."""
    return {
        scenario.title: {name: simulate(scenario, make, Setup()) for name, make in THROTTLES.items()}
        for scenario in SCENARIOS
        if scenario.attack in (people.nobody, people.timing, people.crowd)
    }


def test_page_about_limits_shows_the_tables_as_they_are_now(as_on_the_page: Results) -> None:
    """Operators read what the command prints: each heading, and each row of these runs, in order."""
    page = PAGE.read_text("utf-8")
    assert setup_line(Setup()) in page.replace("\n> ", " ")
    at = 0
    for line in fleet_tables(as_on_the_page).splitlines():
        at = page.find(line, at)
        assert at >= 0, f"missing, or in another table: {line}"


def test_page_about_limits_says_what_a_flood_costs(as_on_the_page: Results) -> None:
    """A hammering device's requests cost the difference in calls of the store to a run without it."""
    hammering, quiet = simulate(SCENARIOS[1], BrokerThrottle, Setup()), as_on_the_page["No attack"]["broker"]
    cost = f"{hammering.others_asked:,} such requests cost {hammering.store_calls - quiet.store_calls:,} calls more"
    assert cost in " ".join(PAGE.read_text("utf-8").split())


def test_limits_that_were_chosen_hold_for_all_throttles_and_are_told() -> None:
    """With one create in ten minutes, a hammering device has one; the setup says so."""
    setup = Setup(minutes=0.4, devices=0, limits=(("THROTTLE_DEVICE", "1/10m"),))
    results = [simulate(SCENARIOS[1], make, setup).others_reached for make in THROTTLES.values()]
    assert results == [1] * len(THROTTLES)
    assert "`THROTTLE_DEVICE=1/10m`" in setup_line(setup)


@pytest.mark.parametrize("limit", ["THROTTLE_DEVICE=often", "FACE_MAX_TPS=1", "THROTTLE_DEVICE"])
def test_a_limit_that_is_none_ends_the_command_with_what_is_expected(
    limit: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage is shown, nothing is run."""
    monkeypatch.setattr(sys, "argv", ["fleet", "--minutes", "0", "--devices", "0", "--set", limit])
    with pytest.raises(SystemExit, match="2"):
        main()
    told = capsys.readouterr()
    assert "expected" in told.err
    assert not told.out
