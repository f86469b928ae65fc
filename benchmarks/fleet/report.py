"""The results as tables in Markdown."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from benchmarks.fleet.deliberate import WINDOW, Worst
from benchmarks.fleet.people import ATTACK_PER_SECOND
from benchmarks.fleet.scenarios import Result, Setup

Results = Mapping[str, Mapping[str, Result]]
"""By scenario, then by throttle; the throttles are the same for each scenario."""

_MINUTES: Final = WINDOW.period_ms // 60_000


def setup_line(setup: Setup) -> str:
    """Say what was run."""
    return (
        f"{setup.minutes:g} minutes, {setup.instances} instances, {setup.devices:,} honest devices, attacks of "
        f"{ATTACK_PER_SECOND:g} requests a second, Face takes {setup.ceiling:g} a second, "
        f"{_limits(setup)}, seed {setup.seed}."
    )


def deliberate_table(cases: Mapping[str, Worst]) -> str:
    """Render what a deliberate caller gets out of each algorithm."""
    head = (
        f"`{WINDOW}`",
        f"most admitted in any {_MINUTES} minutes",
        f"fewest admitted in the {_MINUTES} minutes before a refusal",
    )
    return table(head, [(name, str(case.most), str(case.fewest)) for name, case in cases.items()])


def fleet_tables(results: Results) -> str:
    """Render one table for each thing that was measured: a row per scenario, a column per throttle."""
    return "\n\n".join(
        (
            _measure("honest requests served", results, lambda result: _share(result.honest)),
            _measure("honest requests served, behind the attacker's own address", results, _neighbours),
            _measure("requests of attack or crowd that reached Face", results, _others),
            _measure("store calls, and per request", results, _store_calls),
            _measure("most let through in one second", results, _busiest_second),
        )
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _limits(setup: Setup) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in setup.limits) or "limits as by default"


def _measure(title: str, results: Results, cell: Callable[[Result], str]) -> str:
    throttles = next(iter(results.values()))
    return table((title, *throttles), _rows(results, cell))


def _rows(results: Results, cell: Callable[[Result], str]) -> Iterator[Sequence[str]]:
    """Go through the scenarios in which there is something to tell."""
    for scenario, by_throttle in results.items():
        if any(cells := [cell(result) for result in by_throttle.values()]):
            yield scenario, *cells


def _store_calls(result: Result) -> str:
    return f"{result.store_calls:,}: {result.store_calls / max(1, result.asked):.2f}"


def _neighbours(result: Result) -> str:
    return "" if result.neighbours is None else _share(result.neighbours)


def _busiest_second(result: Result) -> str:
    return "" if result.busiest_second is None else str(result.busiest_second)


def _others(result: Result) -> str:
    return f"{result.others_reached:,} of {result.others_asked:,}" if result.others_asked else ""


def _share(share: float) -> str:
    return f"{share:.1%}"
