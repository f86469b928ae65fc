"""The soak: `python -m tests.soak [--minutes 30] [--kills 50]`; 0 leaves a part out.

First phones come for half an hour at 80 % of the limits: memory has to stay flat, no phone gets an error, and each
session ends in its event. Then a broker is killed fifty times while sessions are created: again each session ends in
its event, and no idempotency key gives two sessions. It ends with 1 if something does not hold.
"""

import argparse
import asyncio
import sys

from tests.soak.kills import kill_again_and_again
from tests.soak.load import soak


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--window", type=float, default=10, help="minutes between two lines")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which it is killed")
    arguments = parser.parse_args()
    held = [
        arguments.minutes <= 0 or asyncio.run(soak(arguments.minutes, arguments.window)),
        arguments.kills <= 0 or asyncio.run(kill_again_and_again(arguments.kills, arguments.seed)),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
