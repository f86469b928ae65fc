"""The command line: arguments, exit status, and the process around it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ops.command_line import parse
from shared.sessions.store import Sessions
from shared.storage.account import StorageAccount
from shared.text import rfc3339, system_clock
from tests.architecture.source_tree import tracked
from tests.ops.shell import ENDED_AT, UNKNOWN, Shell, new_record
from tests.support.app import PSEUDONYMS
from tests.support.azurite import Azurite
from tests.support.broker import PEPPER

ROOT = Path(__file__).parents[2]


def run_process(
    words: str, stdout: int = subprocess.PIPE, isolated: bool = False, storage: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run the command as an operator does; `isolated` hides the installed packages."""
    return subprocess.run(  # noqa: S603 - our own module.
        [sys.executable, *(["-S"] if isolated else []), "-m", "ops", *words.split()],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME")}
        | {"AzureWebJobsStorage": storage, "ID_PEPPER": PEPPER},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


WRONG = f"""
 -> required: noun
poison -> required: verb
poison replay -> one of the arguments --all ID is required
poison replay --all an-id -> not allowed with argument
poison drop -> required: ID
poison drop an-id --dry-run --yes -> not allowed with argument
poison show -> required: ID
session show -> required: ID
session show ../x -> expected a session id
events republish --from 2026-11-23 --to 2026-11-24 -> expected a time with its zone
events republish --from 2026-11-23T10:00:00 --to now -> expected a time with its zone
events republish --topic x --events-file y -> not allowed with argument
events forget -> invalid choice
preflight -> one of the arguments environment --url is required
preflight dev --url http://x -> not allowed with argument
preflight test -> invalid choice
smoke -> required: URL
smoke http://x --token t -> unrecognized arguments: --token t
events republish -> expected either --session, or --from
events republish --to -1h -> expected either --session, or --from
events republish --session {UNKNOWN} --to 2026-11-23T10:00:00Z -> expected either --session, or --from
events republish --from -2x --to -1h -> expected one argument
events republish --from -1h --to -2h -> expected --from to be before --to
session erase -> one of the arguments ID --reference --principal --device is required
session erase --principal a --device b --yes -> not allowed with argument
session erase --principal a --caller b --yes -> --caller names the caller of --device
session erase --principal a --dry-run --yes -> not allowed with argument
session find -> expected --reference, --principal, --device, --owed or --from
session find --from -1h --to -2h -> expected --from to be before --to
events republish --from 2026-11-23T10:00:00Z --to 2026-11-23T11:00:00+01:00 -> expected --from to be before --to
events republish --session {UNKNOWN} --topic http://x -> EVENT_GRID_TOPIC_ENDPOINT: expected the topic
events republish --session {UNKNOWN} --account UPPER -> AzureWebJobsStorage__accountName: expected the name
"""


@pytest.mark.parametrize("line", WRONG.strip("\n").splitlines())
def test_wrong_arguments_are_an_error(shell: Shell, line: str) -> None:
    """The last line says what is wrong, the exit status is 2, and nothing is touched."""
    words, error = line.split(" -> ")

    ended = shell.run(*words.split())

    assert (ended.status, ended.lines, ended.target, shell.store.calls) == (2, [], "", [])
    assert ended.errors[0].startswith(("usage: python -m ops", "ops: "))
    assert error in ended.errors[-1]


@pytest.mark.parametrize(("text", "ago"), [("-90s", 90), ("-5m", 300), ("-2h", 7_200), ("-30d", 2_592_000)])
def test_time_may_be_relative(text: str, ago: int) -> None:
    """In seconds, minutes, hours or days before now."""
    before = system_clock()
    arguments = parse(["events", "republish", "--from", text])

    assert before <= arguments.start + ago * 1_000 <= system_clock()
    assert arguments.end is None


def test_no_option_takes_a_secret() -> None:
    """Other users of a machine see the arguments of its processes, and shells keep them in a file."""
    texts = [(ROOT / path).read_text("utf-8") for path in tracked() if path.endswith(".py")]
    options = {option for text in texts for option in re.findall(r"add_argument\(\s*\"--([a-z-]+)", text)}

    assert options >= {"account", "url", "port", "output"}
    assert {
        option for option in options if re.search("token|key|secret|password|pepper|connection", option)
    } == set()


async def test_commands_work_as_a_process(azurite: Azurite) -> None:
    """With the app's settings in the environment, over a real account."""
    storage = azurite.connection_string
    record = new_record(published_at=None)
    store = StorageAccount.local(storage).open_tables(deadline=10)
    await Sessions(store, 30, PSEUDONYMS).add(record)
    await store.aclose()
    span = f"--from {rfc3339(ENDED_AT)} --to {rfc3339(ENDED_AT + 1)}"

    found = run_process(f"events republish {span} --dry-run", storage=storage)
    shown = run_process(f"session show {record.session_id} --json", storage=storage)

    for ended, lines in ((found, 1), (shown, 2)):
        assert (ended.returncode, ended.stderr.count("\n")) == (0, lines), ended.stderr
    assert f"session {record.session_id}  (for the first time)" in found.stdout
    assert json.loads(shown.stdout)["sessionId"] == record.session_id


def test_closed_pipe_ends_the_command_silently() -> None:
    """A reader such as `| head -1` has seen enough."""
    reading, writing = os.pipe()
    os.close(reading)

    ended = run_process("preflight --url http://127.0.0.1:1", stdout=writing)
    os.close(writing)

    assert (ended.returncode, ended.stderr) == (1, "ops: broker http://127.0.0.1:1\n")


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        ("preflight --url http://127.0.0.1:1", 1, "nothing answers"),
        ("smoke http://127.0.0.1:1 --anonymous", 1, "nothing answers"),
        ("poison list", 2, "ops: azure is not installed: run pip install -r requirements.txt"),
    ],
)
def test_preflight_and_smoke_need_only_python(words: str, status: int, line: str) -> None:
    """Pipelines and azd run them where no package is installed. The other commands say what to install."""
    ended = run_process(words, isolated=True)

    assert ended.returncode == status
    assert line in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_commands_import_nothing_of_the_laptop() -> None:
    """Production is not operated with the code of `local/`."""
    sources = [path.read_text("utf-8") for path in (ROOT / "ops").glob("*.py")]

    assert any("from shared" in source for source in sources)
    assert not [source for source in sources if re.search(r"^\s*(from|import) local\b", source, re.MULTILINE)]
