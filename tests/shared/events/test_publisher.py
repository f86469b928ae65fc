"""The publisher to a file, which a laptop uses in place of Event Grid."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import EventsUnavailable
from shared.events.publisher import FilePublisher

ROOT = Path(__file__).parents[3]
LINES = 200
WRITER = f"""
import asyncio, sys
from pathlib import Path
from shared.events.publisher import FilePublisher

async def write() -> None:
    publisher = FilePublisher(Path(sys.argv[1]))
    events = ({{"id": f"{{sys.argv[2]}}-{{n}}", "fill": "x" * 20_000}} for n in range({LINES}))
    await asyncio.gather(*map(publisher.publish, events))

asyncio.run(write())
"""


async def test_events_are_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for number in range(2):
        await FilePublisher(path).publish({"number": number, "text": "é\n"})

    assert path.read_bytes() == b'{"number":0,"text":"\\u00e9\\n"}\n{"number":1,"text":"\\u00e9\\n"}\n'


def test_processes_that_write_at_once_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number)], cwd=ROOT)  # noqa: S603
        for number in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]

    ids = [json.loads(line)["id"] for line in path.read_text().splitlines()]
    assert sorted(ids) == sorted(f"{writer}-{number}" for writer in range(3) for number in range(LINES))


@pytest.mark.parametrize(("path", "reason"), [("/dev", "Is a directory"), ("/dev/full", "No space left")])
async def test_event_that_cannot_be_written_is_told_as_such(path: str, reason: str) -> None:
    """The collector then tries again later; the disk may be full today."""
    with pytest.raises(EventsUnavailable, match=f"the file for events cannot be written: {reason}"):
        await asyncio.wait_for(FilePublisher(Path(path)).publish({}), 5)
