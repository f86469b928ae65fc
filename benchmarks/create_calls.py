"""How far a reader of one create goes: calls, files and changes of file of our own functions.

`python -m benchmarks.create_calls` sends creates through the trigger. State is in memory, Face is the simulator in
another process, and the client's address counts, as in production. It counts from the trigger to the rendered answer:
each time that one of our functions starts or goes on after an `await`. `--files` lists the files as well.
"""

import asyncio
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType

from benchmarks.create_cost import broker_trigger, create
from benchmarks.peers import environment, peer

_ROOT = Path(__file__).parents[1]
_OURS = tuple(str(_ROOT / folder) for folder in ("shared", "create_session"))


async def measure(simulator_url: str) -> dict[str, list[str]]:
    """Return the file of each call of one create, in order: without and with an idempotency key."""
    walked = {}
    async with broker_trigger(environment(simulator_url) | {"CLIENT_ADDRESS": "appservice"}) as trigger:
        for name, key in (("without key", {}), ("with key", {"idempotency-key": uuid.uuid4().hex})):
            await create(trigger)  # The first request of an app opens connections.
            with _files_called() as files:
                await create(trigger, **key)
            walked[name] = files
    return walked


@contextmanager
def _files_called() -> Iterator[list[str]]:
    files: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_OURS):
            files.append(str(Path(frame.f_code.co_filename).relative_to(_ROOT)))

    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(None)


def main() -> None:
    """Print the table."""
    with peer("simulator") as simulator:
        walked = asyncio.run(measure(simulator.url))
    print("| one create | calls | files | changes of file |")
    print("| --- | --- | --- | --- |")
    for name, files in walked.items():
        changes = sum(one != other for one, other in pairwise(files))
        print(f"| {name} | {len(files)} | {len(set(files))} | {changes} |")
    if "--files" in sys.argv:
        for name, files in walked.items():
            print(f"\n{name}:")
            for file, calls in Counter(files).most_common():
                print(f"{calls:5} {file}")


if __name__ == "__main__":
    main()
