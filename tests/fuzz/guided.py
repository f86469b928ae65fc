"""Runs one fuzzer under atheris: `python -m tests.fuzz.guided TARGET EXECUTIONS SEED`.

It keeps the mutants that reach new code, and changes those again: https://github.com/google/atheris
"""

import logging
import sys
import tempfile
from pathlib import Path

import atheris

from tests.fuzz.mutator import LONGEST, Mutator

with atheris.instrument_imports(include=["create_session", "email", "ipaddress", "json", "jwt", "shared"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until the executions are used up, or something is found; the exit status tells which."""
    logging.disable()
    name, executions, seed = sys.argv[1:]
    target, mutator = TARGETS[name], Mutator(int(seed))

    def run(data: bytes) -> None:
        try:
            target.run(data)
        except Exception:
            print(f"input: {data!r}")
            raise

    def mutated(data: bytes, longest: int, chance: int) -> bytes:
        """Half of the mutants are libFuzzer's, which knows what the code compares with."""
        return atheris.Mutate(data, longest) if chance % 2 else mutator.mutated(data)[:longest]

    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(target.seeds):
            (Path(folder) / str(number)).write_bytes(data)
        # An input takes half a minute at most, and the process 2 GB.
        bounds = [f"-runs={executions}", f"-max_len={LONGEST}", "-timeout=30", "-rss_limit_mb=2048"]
        options = [*bounds, f"-seed={seed}", f"-artifact_prefix={folder}/", "-verbosity=0"]
        atheris.Setup([sys.argv[0], *options, folder], run, custom_mutator=mutated)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
