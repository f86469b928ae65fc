"""How far a reader of one create goes: calls, files and changes of file of our own functions.

`python -m benchmarks.create_calls` sends creates through the trigger. State is in memory, Face is the simulator in
another process, and the client's address counts, as in production. It counts from the trigger to the rendered answer:
each time that one of our functions starts or goes on after an `await`. `--files` lists the files as well.
"""

import asyncio
import json
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import azure.functions as func

from benchmarks.create_cost import Handle, trigger_of
from benchmarks.peers import environment, peer
from shared.app import build, install
from shared.settings import Settings

_ROOT = Path(__file__).parents[1]
_OURS = tuple(str(_ROOT / folder) for folder in ("shared", "create_session"))


async def measure(simulator_url: str) -> dict[str, list[str]]:
    """Return the file of each call of one create, in order: without and with an idempotency key."""
    settings = environment(simulator_url) | {"CLIENT_ADDRESS": "appservice"}
    app = build(Settings.from_mapping(settings))
    install(app)
    with patch.dict("os.environ", settings):
        from create_session.trigger import trigger
    handle = trigger_of(trigger)
    walked = {}
    for name, keyed in (("without key", False), ("with key", True)):
        await _create(handle, keyed=keyed)  # The first request of an app opens connections.
        with _files_called() as files:
            await _create(handle, keyed=keyed)
        walked[name] = files
    await app.aclose()
    return walked


async def _create(handle: Handle, *, keyed: bool) -> None:
    body = json.dumps({"livenessOperationMode": "Passive", "deviceCorrelationId": str(uuid.uuid4())}).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "client-ip": "203.0.113.9:50000",
        **({"idempotency-key": uuid.uuid4().hex} if keyed else {}),
    }
    request = func.HttpRequest("POST", "http://localhost/api/sessions", headers=headers, body=body)
    response = await handle(request)
    assert response.status_code == 200, response.get_body()


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
    with peer("simulator") as simulator_url:
        walked = asyncio.run(measure(simulator_url))
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
