"""What the app can be set to, and what stops its start."""

from collections.abc import Mapping

import pytest

from shared.errors import SettingsError
from shared.settings import SETTINGS, AddressSource, Settings

LOCAL = {"FACE_REGION": "westeurope", "FACE_KEY": "local-key"}
AZURE = {
    "FACE_REGION": "westeurope",
    "KEY_VAULT_URL": "https://kv-example.vault.azure.net",
    "AzureWebJobsStorage__accountName": "stexample",
    "CLIENT_AUTH": "none",
    "EVENT_GRID_TOPIC_ENDPOINT": "https://evgt-example.westeurope-1.eventgrid.azure.net/api/events",
    "WEBSITE_SITE_NAME": "func-example",
    "WEBSITE_HOSTNAME": "func-example.azurewebsites.net",
}
CANARY = "canary-value-of-a-setting"


def refusal_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        Settings.from_mapping(environment)
    return refused.value.lines


def test_local_minimum_is_enough() -> None:
    """A region and a key are all that a laptop needs; everything else has its default."""
    settings = Settings.from_mapping(LOCAL)

    assert settings.endpoint.base_url == "https://westeurope.api.cognitive.microsoft.com"
    assert (settings.face_api_version, settings.face_auth) == ("v1.1-preview.1", "key")
    assert str(settings.throttle_device) == "5/10m, 20/d"
    assert settings.client_address is AddressSource.NONE
    assert not settings.in_azure
    assert settings.base_url is None


def test_azure_minimum_is_enough() -> None:
    """In Azure the secrets come from the vault, the state goes to the account, and the host name is the platform's."""
    settings = Settings.from_mapping(AZURE)

    assert settings.in_azure
    assert settings.base_url == "https://func-example.azurewebsites.net"


def test_empty_setting_counts_as_not_set() -> None:
    """The portal stores empty values: they mean the default."""
    assert Settings.from_mapping(LOCAL | {"FACE_API_VERSION": ""}).face_api_version == "v1.1-preview.1"


def test_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other variables of the environment are no business of ours."""
    for name, value in (LOCAL | {"PATH_OF_SOMETHING": "else"}).items():
        monkeypatch.setenv(name, value)

    assert Settings.from_environment().face_region == "westeurope"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FACE_REGION", CANARY),
        ("FACE_API_VERSION", CANARY),
        ("FACE_AUTH", CANARY),
        ("FACE_MAX_TPS", CANARY),
        ("FACE_MAX_TPS", "0"),
        ("FACE_MAX_TPS", "inf"),
        ("FACE_MAX_TPS", "nan"),
        ("FACE_MAX_TPS", "9_00"),
        ("FACE_MAX_TPS", " 900"),
        ("FACE_MAX_TPS", "\uff19"),
        ("FACE_MAX_TPS", "1e2"),
        ("FACE_MAX_TPS", "-1"),
        ("AUTH_TOKEN_TTL_MAX_SECONDS", "600.0"),
        ("FACE_KEY", f"{CANARY}\n"),
        ("FACE_KEY", f"{CANARY} x"),
        ("FACE_KEY", f"@Microsoft.KeyVault({CANARY})"),
        ("ID_PEPPER", f"{CANARY} x"),
        ("PUBLIC_BASE_URL", "https://[::::]:99999:1"),
        ("PUBLIC_BASE_URL", "https://host:0"),
        ("PUBLIC_BASE_URL", "https://:443"),
        ("FRONT_DOOR_ID", "-" * 36),
        ("KEY_VAULT_URL", f"http://{CANARY}"),
        ("KEY_VAULT_URL", f"https://user@{CANARY}"),
        ("FACE_KEY_SECRET", f"{CANARY}/x"),
        ("PEPPER_SECRET", f"{CANARY}\n"),
        ("AZURE_CLIENT_ID", CANARY),
        ("AUTH_TOKEN_TTL_MAX_SECONDS", "59"),
        ("AUTH_TOKEN_TTL_MAX_SECONDS", "86401"),
        ("RESULT_VISIBILITY", CANARY),
        ("RECORD_RETENTION_DAYS", "0"),
        ("PUBLIC_BASE_URL", f"https://{CANARY}/path"),
        ("THROTTLE_DEVICE", CANARY),
        ("THROTTLE_PRINCIPAL", "5"),
        ("THROTTLE_CLIENT", "0/10m"),
        ("THROTTLE_RESULT", "1/x"),
        ("CLIENT_ADDRESS", CANARY),
        ("FRONT_DOOR_ID", CANARY),
        ("BROKER_REGION", f"{CANARY} X"),
        ("DELETE_AFTER_RESULT", "yes"),
        ("THROTTLE_FAILURES", "x"),
        ("EVENT_GRID_TOPIC_ENDPOINT", "https://evil.example/api/events"),
        ("CLIENT_AUTH", CANARY),
        ("AzureWebJobsStorage__accountName", "Not An Account"),
        ("AzureWebJobsStorage", CANARY),
    ],
)
def test_bad_value_is_refused_by_name_and_not_repeated(name: str, value: str) -> None:
    """One line names the setting and says what is expected; the value may be a secret in the wrong place."""
    environment = {key: text for key, text in LOCAL.items() if key != name} | {name: value}

    [line] = refusal_of(environment)

    assert line.startswith(f"{name}: expected ")
    assert CANARY not in line
    assert "\n" not in line


def test_all_bad_values_are_told_at_once() -> None:
    """Nobody has to find them one by one."""
    lines = refusal_of(LOCAL | {"FACE_MAX_TPS": "x", "THROTTLE_DEVICE": "y", "CLIENT_ADDRESS": "z"})

    assert [line.partition(":")[0] for line in lines] == ["FACE_MAX_TPS", "THROTTLE_DEVICE", "CLIENT_ADDRESS"]


def test_regions_are_told_with_the_others() -> None:
    """A region that does not exist is a bad value like any other."""
    lines = refusal_of({"FACE_REGION": "nowhere", "FACE_KEY": "x", "FACE_MAX_TPS": "x"})

    assert [line.partition(":")[0] for line in lines] == ["FACE_REGION", "FACE_MAX_TPS"]


def test_all_local_secrets_in_azure_are_told_at_once() -> None:
    """Each of them has to go."""
    local = {"FACE_KEY": "x", "ID_PEPPER": "x", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}

    lines = refusal_of(AZURE | local)

    assert [line.partition(":")[0] for line in lines] == ["FACE_KEY", "ID_PEPPER", "AzureWebJobsStorage"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://face.example",
        "https://evil.example",
        "https://name.cognitiveservices.azure.com.evil.example",
        "https://user:password@name.cognitiveservices.azure.com",
        "https://name.cognitiveservices.azure.com/path",
        "https://name.cognitiveservices.azure.com:8443",
        "http://name.cognitiveservices.azure.com",
        "http://169.254.169.254",
    ],
)
def test_endpoint_that_is_not_face_is_refused(endpoint: str) -> None:
    """The key is sent to Face, or to this machine, and nowhere else."""
    [line] = refusal_of({"FACE_ENDPOINT": endpoint, "FACE_KEY": "k"})

    assert line.startswith("FACE_ENDPOINT: expected ")


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        pytest.param({"FACE_KEY": "k"}, "FACE_REGION", id="no endpoint"),
        pytest.param(
            LOCAL | {"FACE_ENDPOINT": "https://name.cognitiveservices.azure.com"},
            "FACE_REGION",
            id="two endpoints",
        ),
        pytest.param({"FACE_REGION": "westeurope"}, "KEY_VAULT_URL", id="no key"),
        pytest.param(AZURE | {"FACE_REGION": ""}, "FACE_REGION", id="no endpoint in Azure"),
        pytest.param(
            AZURE
            | {
                "FACE_REGION": "",
                "FACE_ENDPOINT": "https://name.cognitiveservices.azure.com",
                "FACE_AUTH": "identity",
                "KEY_VAULT_URL": "",
            },
            "KEY_VAULT_URL",
            id="no vault for the pepper in Azure",
        ),
        pytest.param(LOCAL | {"FACE_AUTH": "identity"}, "FACE_AUTH", id="identity at a regional endpoint"),
        pytest.param(
            LOCAL | {"CLIENT_ADDRESS": "frontdoor"}, "FRONT_DOOR_ID", id="front door without its id"
        ),
        pytest.param(
            LOCAL | {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, "ID_PEPPER", id="no pepper"
        ),
        pytest.param(AZURE | {"FACE_KEY": "k"}, "FACE_KEY", id="key in Azure"),
        pytest.param(AZURE | {"ID_PEPPER": "p"}, "ID_PEPPER", id="pepper in Azure"),
        pytest.param(
            AZURE | {"AzureWebJobsStorage": "AccountName=x"},
            "AzureWebJobsStorage",
            id="connection string in Azure",
        ),
        pytest.param(AZURE | {"EVENTS_FILE": "x"}, "EVENTS_FILE", id="events file in Azure"),
        pytest.param(AZURE | {"EVENT_GRID_TOPIC_ENDPOINT": ""}, "EVENT_GRID_TOPIC_ENDPOINT", id="no topic"),
        pytest.param(AZURE | {"CLIENT_AUTH": ""}, "CLIENT_AUTH", id="nobody said who may call"),
        pytest.param(AZURE | {"KEY_VAULT_URL": ""}, "KEY_VAULT_URL", id="no vault in Azure"),
        pytest.param(
            AZURE | {"AzureWebJobsStorage__accountName": ""},
            "AzureWebJobsStorage__accountName",
            id="memory in Azure",
        ),
        pytest.param(
            AZURE | {"FACE_REGION": "", "FACE_ENDPOINT": "http://127.0.0.1:7072"},
            "FACE_ENDPOINT",
            id="simulator in Azure",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(environment: Mapping[str, str], name: str) -> None:
    """What would start and then fail, or be unsafe, does not start."""
    [line] = refusal_of(environment)

    assert line.startswith(f"{name}: expected ")


def test_secrets_do_not_show_in_the_repr() -> None:
    """Settings are printed by mistake sooner or later."""
    settings = Settings.from_mapping(
        LOCAL
        | {
            "FACE_KEY": CANARY,
            "ID_PEPPER": CANARY,
            "AzureWebJobsStorage": f"AccountName=x;AccountKey={CANARY}",
        }
    )

    assert CANARY not in repr(settings)
    assert CANARY not in str(settings)


def test_development_storage_is_azurites_own_account() -> None:
    """What the Functions tools call the emulator is understood."""
    settings = Settings.from_mapping(
        LOCAL | {"ID_PEPPER": "p", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    )

    assert settings.storage_connection is not None
    assert "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1" in settings.storage_connection.reveal()


def test_every_setting_has_its_own_name_and_says_what_is_expected() -> None:
    """What is expected is the text of the error: it may not be missing."""
    assert all(setting.expected for setting in SETTINGS)
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
