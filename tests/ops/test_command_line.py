"""The command line: arguments, exit status, and the process around it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.sessions.store import Sessions
from shared.storage.account import StorageAccount
from shared.text import rfc3339
from tests.ops.shell import ENDED_AT, UNKNOWN, Shell, new_record
from tests.support.azurite import Azurite

ROOT = Path(__file__).parents[2]


def run_process(
    *words: str, stdout: int = subprocess.PIPE, isolated: bool = False, storage: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run the command as an operator does; `isolated` hides the installed packages."""
    return subprocess.run(  # noqa: S603 - our own module.
        [sys.executable, *(["-S"] if isolated else []), "-m", "ops", *words],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME")} | {"AzureWebJobsStorage": storage},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "required: noun"),
        ("poison", "required: verb"),
        ("poison replay", "one of the arguments --all ID is required"),
        ("poison replay --all an-id", "not allowed with argument"),
        ("poison drop", "required: ID"),
        ("poison list --max 33", "expected 1 to 32"),
        ("poison list --max 0", "expected 1 to 32"),
        ("poison list --max ²", "expected 1 to 32"),
        ("session show", "required: ID"),
        ("session show ../x", "expected a session id"),
        ("events republish --from 2026-11-23 --to 2026-11-24", "expected a time with its zone"),
        ("events republish --from 2026-11-23T10:00:00 --to now", "expected a time with its zone"),
        ("events republish --topic x --events-file y", "not allowed with argument"),
        ("events forget", "invalid choice"),
        ("preflight", "one of the arguments environment --url is required"),
        ("preflight dev --url http://x", "not allowed with argument"),
        ("preflight test", "invalid choice"),
        ("smoke", "required: URL"),
        ("smoke http://x --token t --anonymous", "not allowed with argument"),
    ],
)
def test_bad_arguments_show_the_usage(shell: Shell, words: str, error: str) -> None:
    """The last line says what is wrong; the exit status is 2."""
    ended = shell.run(*words.split())

    assert (ended.status, ended.lines) == (2, [])
    assert ended.errors[0].startswith("usage: python -m ops")
    assert error in ended.errors[-1]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "expected either --session, or --from and --to"),
        ("--from 2026-11-23T10:00:00Z", "expected either --session, or --from and --to"),
        (f"--session {UNKNOWN} --to 2026-11-23T10:00:00Z", "expected either --session, or --from and --to"),
        (
            "--from 2026-11-23T10:00:00Z --to 2026-11-23T11:00:00+01:00",
            "expected --from to be before --to",
        ),
        (f"--session {UNKNOWN} --topic http://x", "EVENT_GRID_TOPIC_ENDPOINT: expected the topic"),
        (f"--session {UNKNOWN} --account UPPER", "AzureWebJobsStorage__accountName: expected the name"),
    ],
)
def test_arguments_that_do_not_fit_together_are_an_error(shell: Shell, words: str, error: str) -> None:
    """One line says what is wrong, and nothing is touched."""
    ended = shell.run("events", "republish", *words.split())

    assert (ended.status, len(ended.errors), ended.target) == (2, 1, "")
    assert error in ended.errors[0]
    assert shell.store.calls == []


async def test_commands_work_as_a_process(azurite: Azurite) -> None:
    """With the app's settings in the environment, over a real account."""
    storage = azurite.connection_string
    record = new_record(published_at=None)
    store = StorageAccount.local(storage).open_tables(deadline=10)
    await Sessions(store, 30).add(record)
    await store.aclose()
    span = ("--from", rfc3339(ENDED_AT), "--to", rfc3339(ENDED_AT + 1))

    listed = run_process("poison", "list", storage=storage)
    found = run_process("events", "republish", *span, "--dry-run", storage=storage)
    shown = run_process("session", "show", record.session_id, "--json", storage=storage)

    for ended in (listed, found, shown):
        assert (ended.returncode, ended.stderr.count("\n")) == (0, 1), ended.stderr
    assert listed.stdout == "0 shown, about 0 in liveness-results-poison\n"
    assert f"session {record.session_id}  (for the first time)" in found.stdout
    assert json.loads(shown.stdout)["sessionId"] == record.session_id


def test_closed_pipe_ends_the_command_silently() -> None:
    """A reader such as `| head -1` has seen enough."""
    reading, writing = os.pipe()
    os.close(reading)

    ended = run_process("preflight", "--url", "http://127.0.0.1:1", stdout=writing)
    os.close(writing)

    assert (ended.returncode, ended.stderr) == (1, "ops: broker http://127.0.0.1:1\n")


@pytest.mark.parametrize(
    "words", ["preflight --url http://127.0.0.1:1", "smoke http://127.0.0.1:1 --anonymous"]
)
def test_preflight_and_smoke_need_only_python(words: str) -> None:
    """Pipelines and azd run them where no package is installed."""
    ended = run_process(*words.split(), isolated=True)

    assert ended.returncode == 1
    assert "nothing answers" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_missing_packages_are_an_error_that_says_what_to_do() -> None:
    """The other commands need what the app needs."""
    ended = run_process("poison", "list", isolated=True)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "ops: azure is not installed: run pip install -r requirements.txt\n"


def test_commands_import_nothing_of_the_laptop() -> None:
    """Production is not operated with the code of `local/`."""
    sources = [path.read_text("utf-8") for path in (ROOT / "ops").glob("*.py")]

    assert sources
    assert not [source for source in sources if re.search(r"^\s*(from|import) local\b", source, re.MULTILINE)]
