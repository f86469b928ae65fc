"""`python -m benchmarks.fleet`: runs the fleet under attack in virtual time and prints its tables."""

import argparse
import logging

from benchmarks.fleet.deliberate import ALGORITHMS, worst_case
from benchmarks.fleet.report import deliberate_table, fleet_tables, setup_line
from benchmarks.fleet.scenarios import SCENARIOS, THROTTLES, Setup, simulate
from shared.errors import SettingsError


def main() -> None:
    """Run everything once; the same arguments print the same."""
    setup = _arguments()
    # The tables tell the outcome of a failed refund.
    logging.disable(logging.WARNING)
    cases = {name: worst_case(algorithm) for name, algorithm in ALGORITHMS.items()}
    print(f"A deliberate caller, at worst:\n\n{deliberate_table(cases)}\n", flush=True)
    results = {
        scenario.title: {name: simulate(scenario, make, setup) for name, make in THROTTLES.items()}
        for scenario in SCENARIOS
    }
    print(f"{setup_line(setup)}\n\n{fleet_tables(results)}")


def _arguments() -> Setup:
    default = Setup()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--minutes", type=float, default=default.minutes, help="how long each run lasts")
    parser.add_argument("--instances", type=int, default=default.instances)
    parser.add_argument("--devices", type=int, default=default.devices, help="honest ones")
    parser.add_argument("--ceiling", type=float, default=default.ceiling, help="calls a second at Face")
    parser.add_argument(
        "--set", action="append", default=[], type=_limit, metavar="THROTTLE_...=LIMITS", help="repeatable"
    )
    given = parser.parse_args()
    setup = Setup(
        given.seed, given.minutes, given.instances, given.devices, given.ceiling, limits=tuple(given.set)
    )
    try:
        setup.make_settings()
    except SettingsError as error:
        parser.error(str(error))
    return setup


def _limit(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not (name.startswith("THROTTLE_") and value):
        raise argparse.ArgumentTypeError("expected a limit such as THROTTLE_CLIENT=60/10m")
    return name, value


if __name__ == "__main__":
    main()
