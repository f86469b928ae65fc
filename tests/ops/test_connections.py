"""What `ops` says where it cannot do what it was asked, and the process around it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.ops.settings import OpsSettings
from shared.text import rfc3339
from tests.ops.depot import Depot, collect_message

ROOT = Path(__file__).parents[2]
SESSION = "00000000-0000-4000-8000-000000000000"


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as an operator does."""
    return run_into(subprocess.PIPE, *words, **environment)


def run_into(stdout: int, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command with its output going elsewhere."""
    return subprocess.run(  # noqa: S603 - our own module.
        [sys.executable, "-m", "local", "ops", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("", "required: subject"),
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
    ],
)
def test_bad_arguments_give_usage(depot: Depot, words: str, what: str) -> None:
    """The last line says what is wrong, after how the command is used; the exit status is 2."""
    ended = depot.ops(*words.split())

    assert (ended.status, ended.lines) == (2, [])
    assert ended.errors[0].startswith("usage: python -m local ops")
    assert what in ended.errors[-1]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("", "expected either --session, or --from and --to"),
        ("--from 2026-11-23T10:00:00Z", "expected either --session, or --from and --to"),
        (f"--session {SESSION} --to 2026-11-23T10:00:00Z", "expected either --session, or --from and --to"),
        (
            "--from 2026-11-23T10:00:00Z --to 2026-11-23T11:00:00+01:00",
            "expected --from to be before --to",
        ),
        (f"--session {SESSION} --topic http://x", "EVENT_GRID_TOPIC_ENDPOINT: expected the topic"),
        (f"--session {SESSION} --account UPPER", "AzureWebJobsStorage__accountName: expected the name"),
    ],
)
def test_arguments_that_do_not_fit_together_are_told_in_one_line(depot: Depot, words: str, what: str) -> None:
    """Nothing is asked or sent."""
    ended = depot.ops("events", "republish", *words.split())

    assert (ended.status, len(ended.errors)) == (2, 1)
    assert what in ended.errors[0]


@pytest.mark.parametrize(
    "words", ["poison list", f"session show {SESSION}", f"events republish --session {SESSION}"]
)
def test_no_storage_is_told_in_one_line_with_what_to_set(depot: Depot, words: str) -> None:
    """An operator learns the names of the settings."""
    depot.extra["AzureWebJobsStorage"] = ""

    ended = depot.ops(*words.split())

    assert (ended.status, ended.lines, len(ended.errors)) == (2, [], 1)
    for name in ("AzureWebJobsStorage__accountName", "--account", "AzureWebJobsStorage"):
        assert name in ended.errors[0]


def test_nobody_to_publish_to_is_told_before_anything_is_read(depot: Depot) -> None:
    """An operator learns the names of the settings."""
    depot.extra["EVENTS_FILE"] = ""

    ended = depot.ops("events", "republish", "--session", SESSION)

    assert (ended.status, len(ended.errors)) == (2, 1)
    assert "EVENT_GRID_TOPIC_ENDPOINT or EVENTS_FILE" in ended.errors[0]


TOPIC = "https://{}.westeurope-1.eventgrid.azure.net/api/events"


@pytest.mark.parametrize(
    ("field", "name", "said", "environment"),
    [
        ("storage_account", "AzureWebJobsStorage__accountName", "said", "fromenvironment"),
        (
            "event_grid_topic_endpoint",
            "EVENT_GRID_TOPIC_ENDPOINT",
            TOPIC.format("said"),
            TOPIC.format("other"),
        ),
        ("events_file", "EVENTS_FILE", "said.jsonl", "other.jsonl"),
    ],
)
def test_command_line_counts_more_than_the_environment(
    field: str, name: str, said: str, environment: str
) -> None:
    """Each option takes the place of the app's own setting, which counts where it is not given."""
    both = OpsSettings.from_mapping({name: environment}, {field: said})
    alone = OpsSettings.from_mapping({name: environment}, {field: None})

    assert (getattr(both, field), getattr(alone, field)) == (said, environment)


def test_account_counts_more_than_a_connection_string(depot: Depot) -> None:
    """As in the app: what is in Azure is meant, although the shell still has what Azurite took."""
    ended = run("poison", "list", "--account", "anaccount", **depot.environment | {"PATH": str(depot.folder)})

    assert ended.returncode == 1
    assert ended.stderr.startswith("ops: no token: ")


def test_file_on_the_command_line_counts_more_than_the_environments_topic(depot: Depot) -> None:
    """What is said last and by name is meant."""
    record = depot.add()
    depot.extra["EVENT_GRID_TOPIC_ENDPOINT"] = "https://t.westeurope-1.eventgrid.azure.net/api/events"
    other = depot.folder / "other.jsonl"

    ended = depot.ops("events", "republish", "--session", record.session_id, "--events-file", str(other))

    assert ended.status == 0
    assert len(other.read_text().splitlines()) == 1


def test_bad_connection_string_is_not_shown(depot: Depot) -> None:
    """The line names the setting and what is expected, and not the value."""
    depot.extra["AzureWebJobsStorage"] = "a-secret-that-slipped"

    ended = depot.ops("poison", "list")

    assert (ended.status, len(ended.errors)) == (2, 1)
    assert ended.errors[0].startswith("ops: AzureWebJobsStorage: expected")
    assert "slipped" not in ended.errors[0]


@pytest.mark.parametrize(
    "connection", ["AccountName=x", "TableEndpoint=http://127.0.0.1:1/x", "slipped;AccountName=x"]
)
@pytest.mark.parametrize("words", ["poison list", f"session show {SESSION}"])
def test_incomplete_connection_string_is_told_in_one_line(depot: Depot, words: str, connection: str) -> None:
    """What only the SDKs find out is told in the same way."""
    depot.extra["AzureWebJobsStorage"] = connection

    ended = depot.ops(*words.split())

    assert ended.status == 2
    assert ended.errors == ["ops: AzureWebJobsStorage: this connection string lacks an endpoint or a key"]


@pytest.mark.parametrize(
    ("words", "role"),
    [
        ("poison list", "Storage Queue Data Reader"),
        ("poison replay --all", "Storage Queue Data Reader"),
        (f"session show {SESSION}", "Storage Table Data Reader"),
        (f"events republish --session {SESSION}", "Storage Table Data Reader"),
    ],
)
def test_refused_operator_is_told_which_role_is_missing(depot: Depot, words: str, role: str) -> None:
    """One line; here Azurite refuses a wrong key as Azure refuses an identity without the role."""
    depot.extra["AzureWebJobsStorage"] = depot.connection_string.replace("AccountKey=", "AccountKey=AAAA")

    ended = depot.ops(*words.split())

    assert (ended.status, len(ended.errors)) == (1, 1)
    assert f"it takes the role {role}" in ended.errors[0]


@pytest.mark.parametrize("words", ["poison list", f"session show {SESSION}"])
def test_storage_that_is_not_there_is_told_in_one_line(depot: Depot, words: str) -> None:
    """Most often the name is not right."""
    nowhere = "http://127.0.0.1:1/local"
    depot.extra["AzureWebJobsStorage"] = (
        f"AccountName=local;AccountKey=AAAA;QueueEndpoint={nowhere};TableEndpoint={nowhere}"
    )

    ended = depot.ops(*words.split())

    assert (ended.status, len(ended.errors)) == (1, 1)
    assert "nobody is there: look at the name of the account" in ended.errors[0]


def test_commands_work_as_a_process(depot: Depot) -> None:
    """`python -m local ops` with the app's settings in the environment, all three in turn."""
    record = depot.add(published_at=None)
    depot.poison(collect_message(record.session_id))

    listed = run("poison", "list", "--json", **depot.environment)
    published = run(
        *("events", "republish", "--from", rfc3339(depot.began_at), "--to", rfc3339(depot.began_at + 1)),
        **depot.environment,
    )
    shown = run("session", "show", record.session_id, "--json", **depot.environment)

    assert [(ended.returncode, ended.stderr) for ended in (listed, published, shown)] == [(0, "")] * 3
    assert json.loads(listed.stdout)["sessionId"] == record.session_id
    assert published.stdout.endswith("1 event published, 1 for the first time\n")
    assert json.loads(shown.stdout)["publishedDateTime"]


def test_reader_that_has_seen_enough_ends_the_command_in_silence(depot: Depot) -> None:
    """`| head -1` is no failure to tell of."""
    depot.poison(collect_message())
    reading, writing = os.pipe()
    os.close(reading)

    ended = run_into(writing, "poison", "list", "--json", **depot.environment)
    os.close(writing)

    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize(
    ("az", "what"),
    [
        pytest.param(None, "Azure CLI not found on path", id="no-az"),
        pytest.param(
            "echo \"Please run 'az login' to setup account.\" >&2; exit 1", "az login", id="no-login"
        ),
    ],
)
def test_no_login_is_told_in_one_line(tmp_path: Path, az: str | None, what: str) -> None:
    """With neither a managed identity nor `az login` nothing is asked of Azure, and the line says what to do."""
    if az is not None:
        program = tmp_path / "az"
        program.write_text(f"#!/bin/sh\n{az}\n")
        program.chmod(0o755)

    ended = run("session", "show", SESSION, "--account", "anaccount", PATH=f"{tmp_path}")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("ops: no token: ")
    assert what in ended.stderr


def test_topic_without_a_login_is_told_before_anything_is_read(depot: Depot, tmp_path: Path) -> None:
    """Event Grid is asked as an identity also where storage is Azurite."""
    record = depot.add(published_at=None)
    topic = "https://t.westeurope-1.eventgrid.azure.net/api/events"

    ended = run(
        *("events", "republish", "--session", record.session_id, "--topic", topic),
        **depot.environment | {"PATH": f"{tmp_path}"},
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("ops: no token: ")
    assert depot.stored(record.session_id).record == record


def test_unusable_managed_identity_is_told_in_one_line() -> None:
    """Where the platform names an identity endpoint it is that which is asked, and not `az`."""
    ended = run(
        *("session", "show", SESSION, "--account", "anaccount"),
        IDENTITY_ENDPOINT="http://127.0.0.1:1/token",
        IDENTITY_HEADER="a-header",
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("ops: no token: the managed identity")
