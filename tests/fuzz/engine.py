"""Runs one fuzzer with inputs of our own mutator: `python -m tests.fuzz.engine TARGET EXECUTIONS SEED`."""

import logging
import sys
import traceback
from dataclasses import dataclass

from tests.fuzz.mutator import LONGEST, Mutator
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

_POOL = 512


@dataclass(frozen=True, slots=True)
class Finding:
    """An input for which a parser did what it must not do, and the traceback."""

    data: bytes
    trace: str


def fuzz(target: Target, executions: int, seed: int) -> Finding | None:
    """Run the seeds, their mutants, and mutants of those; stops at the first finding."""
    mutator, pool = Mutator(seed), list(target.seeds)
    for number in range(executions):
        # Mutants of mutants soon hold nothing that a parser reads, so half of them come from the seeds.
        is_seed = number < len(target.seeds)
        base = mutator.choose(target.seeds if number % 2 else pool)
        data = target.seeds[number] if is_seed else mutator.mutated(base)
        try:
            target.run(data)
        except Exception:
            return Finding(data, traceback.format_exc())
        if number % 16 == 0 and len(data) <= LONGEST:
            # Old mutants make room, the seeds stay.
            pool[len(target.seeds) :] = [*pool[len(target.seeds) :], data][-_POOL:]
    return None


def main() -> int:
    """Fuzz until the executions are used up, or something is found; the exit status tells which."""
    logging.disable()
    name, executions, seed = sys.argv[1:]
    finding = fuzz(TARGETS[name], int(executions), int(seed))
    if finding is None:
        return 0
    print(f"{finding.trace}\ninput: {finding.data!r}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
