"""What the commands touch, and the errors of an operator who cannot reach it."""

from pathlib import Path

import pytest

from tests.ops.shell import UNKNOWN, Ended, Shell, run_command
from tests.support.azurite import Azurite

NAMED = ("--account", "anaccount")
TOPIC = "https://t.westeurope-1.eventgrid.azure.net/api/events"
LACKING = "AzureWebJobsStorage: this connection string lacks an endpoint or a key"
LIST, SHOW = ("poison", "list"), ("session", "show", UNKNOWN)
REPUBLISH = ("events", "republish", "--session", UNKNOWN)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole search path for programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def add_az(path: Path, script: str) -> None:
    """Put a made-up Azure CLI on the search path."""
    (path / "az").write_text(f"#!/bin/sh\n{script}\n")
    (path / "az").chmod(0o755)


def run(capsys: pytest.CaptureFixture[str], *words: str, storage: str = "", **environment: str) -> Ended:
    """Run a command over the real adapters."""
    return run_command(capsys, words, {"AzureWebJobsStorage": storage, **environment})


def only_error(ended: Ended, status: int) -> str:
    """Return the one line that the command failed with."""
    assert (ended.status, ended.lines, len(ended.errors)) == (status, [], 1)
    return ended.errors[0].removeprefix("ops: ")


@pytest.mark.parametrize("words", [LIST, SHOW, (*REPUBLISH, "--dry-run")])
def test_missing_storage_account_is_an_error_that_says_what_to_set(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the option and both settings."""
    assert only_error(run(capsys, *words), 2) == (
        "no storage account: set AzureWebJobsStorage__accountName, or use --account, "
        "or set AzureWebJobsStorage to a connection string"
    )


def test_missing_topic_is_an_error_before_anything_is_touched(capsys: pytest.CaptureFixture[str]) -> None:
    """It names the options and the settings."""
    ended = run(capsys, *REPUBLISH, storage="UseDevelopmentStorage=true")

    assert only_error(ended, 2) == (
        "nowhere to publish to: set EVENT_GRID_TOPIC_ENDPOINT or EVENTS_FILE, or use --topic or --events-file"
    )
    assert ended.target == ""


@pytest.mark.parametrize(
    ("storage", "error"),
    [
        ("a-secret-that-slipped", "AzureWebJobsStorage: expected"),
        ("AccountName=x", LACKING),
        ("TableEndpoint=http://127.0.0.1:1/x", LACKING),
        ("slipped;AccountName=x", LACKING),
    ],
)
@pytest.mark.parametrize("words", [LIST, SHOW])
def test_bad_connection_string_is_not_shown(
    words: tuple[str, ...], storage: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the setting, and never its value."""
    ended = run(capsys, *words, storage=storage)

    assert only_error(ended, 2).startswith(error)
    assert "slipped" not in ended.errors[0] + ended.target


@pytest.mark.parametrize(
    ("words", "role"),
    [
        (LIST, "Storage Queue Data Reader"),
        (("poison", "replay", "--all"), "Storage Queue Data Reader"),
        (SHOW, "Storage Table Data Reader"),
        (REPUBLISH, "Storage Table Data Reader"),
    ],
)
def test_denied_operator_learns_which_role_is_missing(
    words: tuple[str, ...], role: str, azurite: Azurite, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Azurite refuses a wrong key as Azure refuses a login without the role."""
    wrong = azurite.connection_string.replace("AccountKey=", "AccountKey=AAAA")

    ended = run(capsys, *words, storage=wrong, EVENTS_FILE=str(tmp_path / "events"))

    assert only_error(ended, 1).endswith(
        f": access denied: needs role {role}, and the firewall must allow this machine"
    )


@pytest.mark.parametrize("words", [LIST, SHOW])
def test_storage_account_that_cannot_be_reached_is_an_error(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Most often its name is wrong."""
    nowhere = "http://127.0.0.1:1/local"
    storage = f"AccountName=local;AccountKey=AAAA;QueueEndpoint={nowhere};TableEndpoint={nowhere}"

    ended = run(capsys, *words, storage=storage)

    assert ended.target == f"storage account local, {nowhere}"
    assert only_error(ended, 1).endswith(
        ": the storage account cannot be reached: check its name and its network rules"
    )


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param(None, "Azure CLI not found on path", id="no-az"),
        pytest.param(
            "echo \"Please run 'az login' to setup account.\" >&2; exit 1", "az login", id="no-login"
        ),
    ],
)
@pytest.mark.parametrize("words", [(*LIST, *NAMED), (*SHOW, *NAMED), (*REPUBLISH, "--topic", TOPIC)])
def test_missing_login_is_an_error_before_anything_is_read(
    words: tuple[str, ...], script: str | None, why: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The account on the command line replaces a connection string; Event Grid needs a login with Azurite too."""
    if script:
        add_az(path, script)

    error = only_error(run(capsys, *words, storage="UseDevelopmentStorage=true"), 1)

    assert error.startswith("no token: this machine has no managed identity, and the Azure CLI says: ")
    assert why in error


@pytest.mark.parametrize(
    ("words", "resource"),
    [
        ((*SHOW, *NAMED), "https://storage.azure.com"),
        ((*REPUBLISH, "--topic", TOPIC), "https://eventgrid.azure.net"),
    ],
)
def test_token_is_for_the_service_that_is_called(
    words: tuple[str, ...], resource: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token for storage is not one for Event Grid."""
    add_az(path, 'echo "asked: $*" >&2; exit 1')

    assert f"--resource {resource}" in only_error(
        run(capsys, *words, storage="UseDevelopmentStorage=true"), 1
    )


def test_machine_with_an_identity_does_not_use_the_azure_cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform names the identity endpoint in the environment."""
    identity = {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/token", "IDENTITY_HEADER": "a-header"}
    for name, value in identity.items():
        monkeypatch.setenv(name, value)

    error = only_error(run(capsys, *SHOW, *NAMED, **identity), 1)

    assert error.startswith("no token: the managed identity endpoint did not answer")


@pytest.mark.parametrize(
    ("script", "region"),
    [("[ $1 = storage ] && echo '\"westeurope\"'", "westeurope"), ("exit 1", "unknown"), (None, "unknown")],
    ids=["known", "not-found", "no-az"],
)
def test_account_and_region_are_named_first(
    script: str | None, region: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Azure CLI knows the region; without its answer the command goes on."""
    if script:
        add_az(path, script)

    ended = run(capsys, *REPUBLISH, *NAMED, "--topic", TOPIC)

    assert ended.target == f"storage account anaccount, region {region}; events go to {TOPIC}"


def test_file_on_the_command_line_replaces_the_topic(shell: Shell) -> None:
    """What the command line says counts more than the environment."""
    record, other = shell.add(), shell.folder / "other.jsonl"
    shell.environment["EVENT_GRID_TOPIC_ENDPOINT"] = TOPIC

    ended = shell.run("events", "republish", "--session", record.session_id, "--events-file", str(other))

    assert ended.status == 0
    assert len(other.read_text().splitlines()) == 1
