"""`ops drill`, and docs/operations.md walked through on what it makes: each command as printed there, in order."""

import asyncio
import io
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collect_result.use_case import collect_result
from shared.app import build
from shared.queues.message import CollectMessage
from shared.queues.port import POISON_QUEUE, RESULTS_QUEUE
from shared.settings import Settings
from shared.storage.account import StorageAccount
from tests.ops.shell import Ended, run_command
from tests.support.azurite import Azurite, count_messages
from tests.support.broker import environment
from tests.support.fake_face import FakeFace

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
AFTER_PRACTISE = PAGE.split("\n### Practise\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"^```text\n(.*?)^```$", AFTER_PRACTISE, re.MULTILINE | re.DOTALL)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def printed_commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of the page, and what the page says that it writes."""
    for block in BLOCKS:
        for part in re.split(r"^\$ python -m ops ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            yield command, lines


COMMANDS = list(printed_commands())


@pytest.fixture(scope="module")
def azurite_for_drills() -> Iterator[Azurite]:
    """An Azurite whose rows and messages no other module needs: each drill deletes them."""
    with Azurite() as azurite:
        yield azurite


@pytest.fixture
def night(azurite_for_drills: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of an operator, who answers each question with yes."""
    terminal = io.StringIO("y\n" * 100)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    return {
        "AzureWebJobsStorage": azurite_for_drills.connection_string,
        "ID_PEPPER": "local-pepper",
        "EVENTS_FILE": str(tmp_path / "events.jsonl"),
    }


def run(capsys: pytest.CaptureFixture[str], words: str, night: dict[str, str]) -> Ended:
    """Run a command as an operator does."""
    return run_command(capsys, shlex.split(words), night)


def comparable(lines: list[str]) -> list[str]:
    """Lines without times, in the order of the alphabet: the page mixes two streams. Questions stand alone."""
    text = "\n".join(lines).replace("[y/N] y\n", "[y/N] \n").replace("[y/N] ops:", "[y/N] \nops:")
    return sorted(_TIME.sub("TIME", line).rstrip() for line in text.splitlines())


async def collect_all(night: dict[str, str]) -> None:
    """Let the app handle its queue, as the host does. Face has forgotten all sessions."""
    mapping = environment("http://127.0.0.1:9") | night
    app = build(Settings.from_mapping(mapping), face=FakeFace())
    account = StorageAccount.local(night["AzureWebJobsStorage"])
    async with account.queue_client(RESULTS_QUEUE, deadline=10) as queue:
        async for message in queue.receive_messages():
            await collect_result(app, CollectMessage.from_text(str(message.content)))
            await queue.delete_message(message)
    await app.aclose()


def test_page_is_true_of_the_drill_and_nothing_is_owed_at_its_end(
    night: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A stranger sees what is printed, by each command that the drill names too. Another drill starts anew."""
    account = StorageAccount.local(night["AzureWebJobsStorage"])
    assert len(COMMANDS) > 10
    for _ in range(2):
        run(capsys, "drill", night)
        drill = run(capsys, "drill --json", night)
        assert (drill.status, asyncio.run(count_messages(account, POISON_QUEUE))) == (0, 2)
        for trial in drill.objects:
            ended = run(capsys, trial["command"].removeprefix("python -m ops "), night)
            assert (ended.status, ended.lines[-1].startswith("0 ")) == (0, False), trial
        for command, expected in COMMANDS:
            ended = run(capsys, command, night)
            assert comparable([*ended.lines, *ended.errors]) == comparable(expected), command
            asyncio.run(collect_all(night))

        for words in ("session find --owed", "poison list"):
            assert run(capsys, words, night).lines[-1].startswith("0 "), words


def test_interrupt_at_a_question_ends_the_command(
    night: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """At once, as the answer no does."""
    command = "session erase --reference order:5"
    run(capsys, "drill", night)
    near, far = pty.openpty()
    with (
        os.fdopen(near, "rb"),
        os.fdopen(far) as terminal,
        subprocess.Popen(  # noqa: S603 - our own module.
            [sys.executable, "-m", "ops", *command.split()],
            cwd=Path(__file__).parents[2],
            env={"PATH": os.environ["PATH"], **night},
            stdin=terminal,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        try:
            assert process.stderr
            written = b""
            while not written.endswith(b"[y/N] "):
                byte = process.stderr.read(1)
                assert byte, written
                written += byte
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()

    assert (process.returncode, errors) == (1, b"\nops: nothing was changed\n")
    assert run(capsys, f"{command} --dry-run", night).lines[-1].startswith("1 ")


@pytest.mark.parametrize(
    "settings",
    [
        {"AzureWebJobsStorage__accountName": "anaccount"},
        {"AzureWebJobsStorage": "AccountName=a;AccountKey=AAAA;EndpointSuffix=core.windows.net"},
        {
            "AzureWebJobsStorage": "AccountName=a;AccountKey=AAAA;TableEndpoint=http://127.0.0.1:1/a;"
            "QueueEndpoint=http://127.0.0.1.elsewhere.example/a"
        },
    ],
    ids=["named", "in-azure", "look-alike"],
)
def test_drill_refuses_each_account_elsewhere(
    settings: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It deletes rows and messages."""
    ended = run_command(capsys, ["drill"], {**settings, "ID_PEPPER": "local-pepper"})

    assert (ended.status, ended.target) == (2, "")
    assert ended.errors == [
        "ops: a drill is for an emulator on this machine: AzureWebJobsStorage names another account"
    ]
