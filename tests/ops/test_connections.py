"""What the commands touch, and the errors of an operator who cannot reach it."""

from pathlib import Path

import pytest

from ops.connections import read_settings
from tests.ops.shell import UNKNOWN, Ended, add_az, run_command
from tests.ops.test_commands import COMMANDS
from tests.support.azurite import Azurite
from tests.support.broker import PEPPER

TOPIC = "https://t.westeurope-1.eventgrid.azure.net/api/events"
OTHER = "https://u.westeurope-1.eventgrid.azure.net/api/events"
VAULT = "https://avault.vault.azure.net"
LOCAL = "UseDevelopmentStorage=true"
LIST, SHOW, REPUBLISH = "poison list", f"session show {UNKNOWN}", f"events republish --session {UNKNOWN}"
NO_ACCOUNT = (
    "no storage account: set AzureWebJobsStorage__accountName, or use --account, "
    "or set AzureWebJobsStorage to a connection string"
)
NOWHERE = (
    "nowhere to publish to: set EVENT_GRID_TOPIC_ENDPOINT or EVENTS_FILE, or use --topic or --events-file"
)
LACKING = "AzureWebJobsStorage: expected a storage connection string with account and key"


def run(capsys: pytest.CaptureFixture[str], words: str, storage: str = "", **environment: str) -> Ended:
    """Run a command over the real adapters."""
    own = {"AzureWebJobsStorage": storage, "ID_PEPPER": PEPPER}
    return run_command(capsys, words.split(), {**own, **environment})


def only_error(ended: Ended, status: int) -> str:
    """Return the one line that the command failed with."""
    assert (ended.status, ended.lines, len(ended.errors)) == (status, [], 1)
    return ended.errors[0].removeprefix("ops: ")


@pytest.mark.parametrize(
    ("words", "storage", "error"),
    [
        *((words, "", NO_ACCOUNT) for words in (LIST, SHOW, f"{REPUBLISH} --dry-run")),
        (REPUBLISH, LOCAL, NOWHERE),
        (f"{REPUBLISH} --events-file no/folder", LOCAL, "the folder of no/folder does not exist"),
        (f"{REPUBLISH} --vault x", LOCAL, "KEY_VAULT_URL: expected"),
        (SHOW, "a-secret-that-slipped", "AzureWebJobsStorage: expected"),
        *((words, "AccountName=x", LACKING) for words in (LIST, SHOW, f"session collect {UNKNOWN}")),
        (SHOW, "TableEndpoint=http://127.0.0.1:1/x", LACKING),
        (SHOW, "slipped;AccountName=x", LACKING),
    ],
)
def test_missing_or_bad_setting_is_an_error_that_says_what_to_set(
    words: str, storage: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the options and the settings, and never a value."""
    ended = run(capsys, words, storage)

    assert only_error(ended, 2).startswith(error)
    assert "slipped" not in ended.errors[0] + ended.target


def test_option_replaces_the_setting_of_the_environment() -> None:
    """Without the option the setting counts. A bad setting that no command uses is not read."""
    options = {
        "storage_account": ("AzureWebJobsStorage__accountName", "anaccount", "another"),
        "event_grid_topic_endpoint": ("EVENT_GRID_TOPIC_ENDPOINT", OTHER, TOPIC),
        "events_file": ("EVENTS_FILE", "a-file", "a-second"),
        "key_vault_url": ("KEY_VAULT_URL", "https://another.vault.azure.net", VAULT),
    }
    environment = {name: value for name, value, _ in options.values()}
    environment |= {"FACE_MAX_TPS": "many", "ID_PEPPER": PEPPER}

    for field, (_, value, option) in options.items():
        alone, both = read_settings(environment, {}), read_settings(environment, {field: option})
        assert (getattr(alone, field), getattr(both, field)) == (value, option)

    # A file on the command line replaces the topic of the environment.
    assert read_settings(environment, {"events_file": "a-second"}).event_grid_topic_endpoint is None
    # And a vault on the command line the pepper.
    assert read_settings(environment, {"key_vault_url": VAULT}).id_pepper is None


@pytest.mark.parametrize(
    ("words", "role"),
    [
        (LIST, "Storage Queue Data Reader"),
        ("poison replay --all", "Storage Queue Data Reader"),
        (SHOW, "Storage Table Data Reader"),
        (REPUBLISH, "Storage Table Data Reader"),
    ],
)
def test_denied_operator_learns_which_role_is_missing(
    words: str, role: str, azurite: Azurite, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Azurite refuses a wrong key as Azure refuses a login without the role."""
    wrong = azurite.connection_string.replace("AccountKey=", "AccountKey=AAAA")

    error = only_error(run(capsys, words, wrong, EVENTS_FILE=str(tmp_path / "events")), 1)

    assert error.endswith(f": access denied: needs role {role}, and the firewall must allow this machine")


@pytest.mark.parametrize("words", ["drill", *[command.words for command in COMMANDS]])
def test_storage_account_that_cannot_be_reached_is_an_error(
    words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of each command. Most often the name of the account is wrong."""
    nowhere = "http://127.0.0.1:1/local"
    storage = f"AccountName=local;AccountKey=AAAA;QueueEndpoint={nowhere};TableEndpoint={nowhere}"

    ended = run(capsys, words, storage, EVENTS_FILE=str(tmp_path / "events"))

    assert ended.target.startswith(f"storage account local, {nowhere}, release unknown")
    assert only_error(ended, 1).endswith("cannot be reached: check its name and its network rules")


@pytest.mark.parametrize(
    ("words", "resource"),
    [
        (f"{LIST} --account anaccount", "https://storage.azure.com"),
        (f"{SHOW} --account anaccount", "https://storage.azure.com"),
        (f"{REPUBLISH} --topic {TOPIC}", "https://eventgrid.azure.net"),
        (f"{REPUBLISH} --topic {TOPIC} --vault {VAULT}", "https://vault.azure.net"),
    ],
)
def test_missing_login_is_an_error_before_anything_is_read(
    words: str, resource: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token is for the service that is called. `--account` replaces a connection string."""
    missing = only_error(run(capsys, words, LOCAL), 1)
    add_az(path, 'echo "asked: $*" >&2; exit 1')
    refused = only_error(run(capsys, words, LOCAL), 1)

    start = "no token: this machine has no managed identity, and the Azure CLI says: "
    assert missing == f"{start}Azure CLI not found on path"
    assert refused.startswith(f"{start}asked: account get-access-token")
    assert f"--resource {resource}" in refused


def test_machine_with_an_identity_does_not_use_the_azure_cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform names the identity endpoint in the environment."""
    identity = {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/token", "IDENTITY_HEADER": "a-header"}
    for name, value in identity.items():
        monkeypatch.setenv(name, value)

    error = only_error(run(capsys, f"{SHOW} --account anaccount", **identity), 1)

    assert error.startswith("no token: the managed identity endpoint did not answer")


def test_names_in_a_connection_string_have_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    """The SDKs read them so too."""
    text = (
        "accountname=a;AccountKey=AAAA;tableendpoint=http://127.0.0.1:1/a;queueendpoint=http://127.0.0.1:1/b"
    )

    ended = run(capsys, SHOW, AzureWebJobsStorage=text)

    assert ended.target == "storage account a, http://127.0.0.1:1/a, release unknown"


AZ = """case "$*" in
"storage account show --name anaccount"*) echo '{"region": "westeurope", "group": "rg"}';;
"group show --name rg"*) %s;;
esac"""
TAGS = """echo '{"version": "1.2.3", "commit": "abc"}'"""


@pytest.mark.parametrize(
    ("script", "place"),
    [
        (AZ % TAGS, "region westeurope, release 1.2.3, commit abc"),
        (AZ % "echo null", "region westeurope, release unknown"),
        (AZ % "exit 1", "region westeurope, release unknown"),
        ("exit 1", "region unknown, release unknown"),
    ],
)
def test_account_region_and_release_are_named_first(
    script: str, place: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Azure CLI knows them, by the tags that `ops publish` writes; without its answer the command goes on."""
    add_az(path, script)

    ended = run(capsys, f"{REPUBLISH} --account anaccount --topic {TOPIC}")

    assert ended.target == f"storage account anaccount, {place}; events go to {TOPIC}"
