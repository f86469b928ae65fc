"""The command prints the same tables for the same seed, on whichever interpreter process."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.fleet import people
from benchmarks.fleet.__main__ import main
from benchmarks.fleet.report import fleet_tables, setup_line
from benchmarks.fleet.scenarios import SCENARIOS, THROTTLES, Result, Scenario, Setup, simulate

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "throttling.md"
SMALL = Setup(seed=3, minutes=0.4, instances=3, devices=30)


async def output(hash_seed: str, *arguments: str) -> bytes:
    """Run the command in a process of its own, whose sets of strings have an order of their own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.fleet",
        *arguments,
        stdout=PIPE,
        cwd=ROOT,
        env={"PYTHONHASHSEED": hash_seed},
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed


async def test_the_same_seed_prints_the_same_bytes() -> None:
    """Two processes with different hash seeds print one text: all tables, with all scenarios and throttles."""
    arguments = ("--seed", "3", "--minutes", "0.2", "--devices", "20")
    first, second = await asyncio.gather(output("1", *arguments), output("2", *arguments))
    assert first == second
    text = first.decode()
    assert "0.2 minutes, 4 instances, 20 honest devices" in text
    assert all(f"\n| {scenario.title} | " in text for scenario in SCENARIOS)
    assert text.count(f"| {' | '.join(THROTTLES)} |") == 5


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_the_same_setup_gives_the_same_result(scenario: Scenario) -> None:
    """Nothing of a run but its setup decides what comes of it."""
    make = THROTTLES["broker"]
    assert simulate(scenario, make, SMALL) == simulate(scenario, make, SMALL)


def test_another_seed_gives_other_visits() -> None:
    """The seed does decide."""
    hammering, make = SCENARIOS[1], THROTTLES["fixed window"]
    others = [simulate(hammering, make, Setup(seed, minutes=0.4)).others_asked for seed in range(4)]
    assert len(set(others)) > 1


def test_devices_that_time_their_calls_get_twice_the_limit_of_a_fixed_window_alone() -> None:
    """Ten devices have five calls each under the broker's limiter, and ten each under a fixed window."""
    (timing,) = [scenario for scenario in SCENARIOS if scenario.attack is people.timing]
    setup = Setup(minutes=6.5, devices=0)
    reached = {
        name: simulate(timing, make, setup).others_reached
        for name, make in THROTTLES.items()
        if name in ("broker", "fixed window")
    }
    assert reached == {"broker": 50, "fixed window": 100}


def test_tables_have_a_cell_for_each_throttle_and_only_rows_with_something_to_tell() -> None:
    """A scenario without an attack has no row where attacks are counted."""
    quiet = Result(0.5, None, 0, 0, None, 800, 1000)
    attack = Result(0.25, 1.0, 2000, 10, 4, 2400, 1200)
    results: Mapping[str, Mapping[str, Result]] = {"Quiet": {"ours": quiet}, "Attack": {"ours": attack}}
    tables = [table.splitlines()[2:] for table in fleet_tables(results).split("\n\n")]
    assert tables == [
        ["| Quiet | 50.0% |", "| Attack | 25.0% |"],
        ["| Attack | 100.0% |"],
        ["| Attack | 10 of 2,000 |"],
        ["| Quiet | 1,000: 1.25 |", "| Attack | 1,200: 0.50 |"],
        ["| Attack | 4 |"],
    ]


@pytest.fixture(scope="module")
def as_on_the_page() -> dict[str, dict[str, Result]]:
    """The runs of the page about limits, less those that take long."""
    return {
        scenario.title: {name: simulate(scenario, make, Setup()) for name, make in THROTTLES.items()}
        for scenario in SCENARIOS
        if scenario.attack in (people.nobody, people.hammering, people.timing, people.crowd)
    }


def test_the_page_about_limits_shows_the_tables_as_they_are_now(
    as_on_the_page: dict[str, dict[str, Result]],
) -> None:
    """What operators read is what the command prints: each heading, and each row of these runs."""
    page = PAGE.read_text("utf-8")
    assert setup_line(Setup()) in page.replace("\n> ", " ")
    at = 0
    for line in fleet_tables(as_on_the_page).splitlines():
        at = page.find(line, at)
        assert at >= 0, f"missing, or in another table: {line}"


def test_the_page_about_limits_says_what_a_flood_costs(as_on_the_page: dict[str, dict[str, Result]]) -> None:
    """The hammering device's requests cost what there are more calls of the store than without it."""
    hammering, quiet = (as_on_the_page[title]["broker"] for title in ("One device hammering", "No attack"))
    page = " ".join(PAGE.read_text("utf-8").split())
    assert (
        f"{hammering.others_asked:,} such requests cost {hammering.store_calls - quiet.store_calls:,} calls more"
    ) in page


def test_the_setup_is_told_with_the_tables() -> None:
    """Who reads the tables can run the same again."""
    assert setup_line(SMALL) == (
        "0.4 minutes, 3 instances, 30 honest devices, attacks of 30 requests a second, "
        "Face takes 10 a second, limits as by default, seed 3."
    )


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
