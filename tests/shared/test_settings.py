"""What the app can be set to, and what stops its start."""

from collections.abc import Mapping

import pytest

from shared.cloud import CHINA, PUBLIC, Cloud
from shared.cloud import GOVERNMENT as GOVERNMENT_CLOUD
from shared.errors import SettingsError
from shared.settings import Settings

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
JWT = {"CLIENT_AUTH": "jwt", "AUTH_ISSUER": "https://issuer.example", "AUTH_AUDIENCE": "api://liveness"}
SUBDOMAIN = "https://name.cognitiveservices.azure.com"
_TABLES = "AzureWebJobsStorage__tableServiceUri"
GOVERNMENT = AZURE | {
    "FACE_REGION": "",
    "FACE_ENDPOINT": "https://face-example.cognitiveservices.azure.us/",
    "KEY_VAULT_URL": "https://kv-example.vault.usgovcloudapi.net",
    "EVENT_GRID_TOPIC_ENDPOINT": "https://evgt-example.usgovvirginia-1.eventgrid.azure.us/api/events",
    "AzureWebJobsStorage__accountName": "",
    _TABLES: "https://stexample.table.core.usgovcloudapi.net/",
}
IDENTITY = {"FACE_REGION": "", "FACE_ENDPOINT": SUBDOMAIN, "FACE_AUTH": "identity"}
CANARY = "canary-value-of-a-setting"


def refusal_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        Settings.from_mapping(environment)
    return refused.value.lines


def test_local_minimum_is_enough() -> None:
    settings = Settings.from_mapping(LOCAL)

    assert settings.face_url == "https://westeurope.api.cognitive.microsoft.com"
    assert (settings.face_api_version, settings.face_auth) == ("v1.1-preview.1", "key")
    assert str(settings.throttle_device) == "5/10m, 20/d"
    assert settings.client_address == "none"
    assert not settings.in_azure
    assert (settings.base_url, settings.region) == (None, "westeurope")


def test_azure_minimum_is_enough() -> None:
    """In Azure the secrets come from the vault, the state goes to the account, and the host name is the platform's."""
    settings = Settings.from_mapping(AZURE)

    assert settings.in_azure
    assert settings.base_url == "https://func-example.azurewebsites.net"


def test_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other variables do not count, nor does an empty one, which is what the portal stores."""
    for name, value in (LOCAL | {"PATH_OF_SOMETHING": "else", "FACE_API_VERSION": ""}).items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()

    assert (settings.face_region, settings.face_api_version) == ("westeurope", "v1.1-preview.1")


BAD_VALUES = {
    "FACE_MAX_TPS": [CANARY, "0", "inf", "nan", "9_00", " 900", "\uff19", "1e2", "-1", "1000.1"],
    "AUTH_TOKEN_TTL_MAX_SECONDS": ["600.0", "59", "86401"],
    "FACE_KEY": [f"{CANARY}\n", f"{CANARY} x", f"@Microsoft.KeyVault({CANARY})"],
    "ID_PEPPER": [f"{CANARY} x", f"{CANARY},", f",{CANARY}", f"{CANARY},{CANARY}"],
    "PUBLIC_BASE_URL": [
        "https://[::::]:99999:1",
        "https://host:0",
        "https://:443",
        f"https://{CANARY}/path/",
        "https://a//b",
        "https://a/b?c",
        f"https://{CANARY}/../x",
        f"https://{CANARY}/x/.",
    ],
    "KEY_VAULT_URL": [f"http://{CANARY}", f"https://user@{CANARY}", "https://.", "https://-"],
    "FACE_KEY_SECRET": [f"{CANARY}/x"],
    "PEPPER_SECRET": [f"{CANARY}\n"],
    "RECORD_RETENTION_DAYS": ["0"],
    "THROTTLE_PRINCIPAL": ["5"],
    "THROTTLE_CLIENT": ["0/10m"],
    "THROTTLE_RESULT": ["1/x"],
    "THROTTLE_REFERENCE": ["5"],
    "THROTTLE_OVERRIDES": [
        CANARY,
        f"{CANARY} client",
        f"{CANARY} misses off",
        f"{CANARY} client x",
        f"{CANARY} client off;",
        f"{CANARY} client off; {CANARY} client 5/10m",
    ],
    "CLIENT_REFERENCE": [CANARY, "Token"],
    "BROKER_REGION": [f"{CANARY} X"],
    "DELETE_AFTER_RESULT": ["yes"],
    "THROTTLE_FAILURES": ["x"],
    "EVENT_GRID_TOPIC_ENDPOINT": ["https://evil.example/api/events"],
    "AzureWebJobsStorage__accountName": ["Not An Account"],
    "AzureWebJobsStorage__tableServiceUri": [
        "http://account.table.core.windows.net",
        f"https://account.table.core.windows.net.{CANARY}",
        "https://account.blob.core.windows.net",
    ],
    "AzureWebJobsStorage": [
        CANARY,
        "AccountName=foo",
        "AccountName=foo;AccountKey=",
        "AccountName=foo;AccountKey=not-base64!",
        "AccountKey=a2V5",
        "AccountKey=a2V5;TableEndpoint=https://a.example",
        "AccountName=foo;AccountKey=a2V5;TableEndpoint=a.example",
    ],
    "AZURE_CLIENT_ID": [CANARY],
    "CLIENT_ADDRESS": [CANARY],
    "CLIENT_AUTH": [CANARY, "JWT"],
    "AUTH_ISSUER": [
        CANARY,
        "http://issuer.example",
        "http://127.0.0.1",
        "https://user@issuer.example",
        "https://issuer.example?x",
        "https://issuer.example,",
        "https://issuer.example https://other.example",
    ],
    "AUTH_AUDIENCE": [",", f"{CANARY} x"],
    "AUTH_SECRET_NAME": [f"{CANARY}/x"],
    "AUTH_SECRET": ["x" * 31, f"{CANARY} {CANARY}"],
    "FACE_API_VERSION": [CANARY],
    "FACE_AUTH": [CANARY],
    "FACE_REGION": [
        CANARY,
        "westmars",
        "WestEurope",
        "westeurope\n",
        " westeurope",
        "westeurope.evil.example/",
        "../westeurope",
    ],
    "FACE_ENDPOINT": [f"https://{CANARY}", "http://169.254.169.254"],
    "FRONT_DOOR_ID": [CANARY, "-" * 36],
    "RESULT_VISIBILITY": [CANARY],
    "THROTTLE_DEVICE": [CANARY],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_VALUES.items() for value in values]
)
def test_bad_value_is_refused_by_name_and_not_repeated(name: str, value: str) -> None:
    """One line names the setting and says what is expected; the value may be a secret in the wrong place."""
    environment = {key: text for key, text in LOCAL.items() if key != name} | {name: value}

    [line] = refusal_of(environment)

    assert line.startswith(f"{name}: expected ")
    assert CANARY not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "text", "field", "read"),
    [
        ("AUTH_TOKEN_TTL_MAX_SECONDS", "60", "auth_token_ttl_max_seconds", 60),
        ("AUTH_TOKEN_TTL_MAX_SECONDS", "86400", "auth_token_ttl_max_seconds", 86_400),
        ("FACE_MAX_TPS", "0.1", "face_max_tps", 0.1),
        ("DELETE_AFTER_RESULT", "TRUE", "delete_after_result", True),
        ("DELETE_AFTER_RESULT", "False", "delete_after_result", False),
        ("PUBLIC_BASE_URL", "http://[::1]:7071", "base_url", "http://[::1]:7071"),
        (
            "AUTH_ISSUER",
            "https://a.example/, http://[::1]:1",
            "auth_issuer",
            ("https://a.example/", "http://[::1]:1"),
        ),
        ("AUTH_AUDIENCE", "api://x,y", "auth_audience", ("api://x", "y")),
        ("BROKER_REGION", "weu-2", "region", "weu-2"),
    ],
)
def test_good_value_is_read(name: str, text: str, field: str, read: object) -> None:
    """The lowest and the highest number are allowed, and `True` may be written in capitals."""
    assert getattr(Settings.from_mapping(LOCAL | JWT | {name: text}), field) == read


@pytest.mark.parametrize(
    ("good", "wrong"),
    [
        (LOCAL, {"FACE_MAX_TPS": "x", "THROTTLE_DEVICE": "y", "CLIENT_ADDRESS": "z"}),
        (AZURE, {"FACE_KEY": "x", "ID_PEPPER": "x", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}),
    ],
    ids=["bad values", "local secrets in Azure"],
)
def test_all_faults_are_told_at_once(good: dict[str, str], wrong: dict[str, str]) -> None:
    assert [line.partition(":")[0] for line in refusal_of(good | wrong)] == list(wrong)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"FACE_KEY": "k"}, "FACE_REGION"),
        (LOCAL | {"FACE_ENDPOINT": SUBDOMAIN}, "FACE_REGION"),
        ({"FACE_REGION": "westeurope"}, "KEY_VAULT_URL"),
        (LOCAL | {"FACE_AUTH": "identity"}, "FACE_AUTH"),
        (LOCAL | {"CLIENT_ADDRESS": "frontdoor"}, "FRONT_DOOR_ID"),
        (LOCAL | {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, "ID_PEPPER"),
        (AZURE | {"FACE_REGION": ""}, "FACE_REGION"),
        (AZURE | IDENTITY | {"KEY_VAULT_URL": ""}, "KEY_VAULT_URL"),
        (AZURE | {"FACE_REGION": "", "FACE_ENDPOINT": "http://127.0.0.1:7072"}, "FACE_ENDPOINT"),
        (AZURE | {"FACE_KEY": "k"}, "FACE_KEY"),
        (AZURE | {"ID_PEPPER": "p"}, "ID_PEPPER"),
        (AZURE | {"AzureWebJobsStorage": "AccountName=x"}, "AzureWebJobsStorage"),
        (AZURE | {"EVENTS_FILE": "x"}, "EVENTS_FILE"),
        (AZURE | {"EVENT_GRID_TOPIC_ENDPOINT": ""}, "EVENT_GRID_TOPIC_ENDPOINT"),
        (AZURE | {"CLIENT_AUTH": ""}, "CLIENT_AUTH"),
        (LOCAL | JWT | {"AUTH_ISSUER": ""}, "AUTH_ISSUER"),
        (LOCAL | JWT | {"AUTH_AUDIENCE": ""}, "AUTH_AUDIENCE"),
        (LOCAL | JWT | {"CLIENT_AUTH": ""}, "CLIENT_AUTH"),
        (LOCAL | JWT | {"AUTH_SECRET_NAME": "backend"}, "AUTH_SECRET"),
        (LOCAL | JWT | {"AUTH_SECRET": "x" * 32}, "AUTH_SECRET_NAME"),
        (AZURE | JWT | {"CLIENT_AUTH": ""}, "CLIENT_AUTH"),
        (AZURE | JWT | {"AUTH_ISSUER": "http://127.0.0.1:7073"}, "AUTH_ISSUER"),
        (AZURE | JWT | {"AUTH_SECRET_NAME": "backend", "AUTH_SECRET": "x" * 32}, "AUTH_SECRET"),
        (AZURE | JWT | {"AUTH_SECRET_NAME": "id-pepper"}, "AUTH_SECRET_NAME"),
        (AZURE | JWT | {"AUTH_SECRET_NAME": "a-key", "FACE_KEY_SECRET": "a-key"}, "AUTH_SECRET_NAME"),
        (AZURE | {"KEY_VAULT_URL": ""}, "KEY_VAULT_URL"),
        (AZURE | {"AzureWebJobsStorage__accountName": ""}, _TABLES),
        (AZURE | {_TABLES: "https://account.table.core.windows.net"}, _TABLES),
        (AZURE | {"KEY_VAULT_URL": "https://kv-example.evil.example"}, "KEY_VAULT_URL"),
        (AZURE | {"KEY_VAULT_URL": "https://kv-example.vault.azure.net.evil.example"}, "KEY_VAULT_URL"),
        (AZURE | {"KEY_VAULT_URL": "https://kv-example.vault.azure.cn"}, "KEY_VAULT_URL"),
        (GOVERNMENT | {"KEY_VAULT_URL": "https://kv-example.vault.azure.net"}, "KEY_VAULT_URL"),
        (GOVERNMENT | {"FACE_ENDPOINT": SUBDOMAIN}, "FACE_ENDPOINT"),
        (
            GOVERNMENT | {"EVENT_GRID_TOPIC_ENDPOINT": AZURE["EVENT_GRID_TOPIC_ENDPOINT"]},
            "EVENT_GRID_TOPIC_ENDPOINT",
        ),
        (GOVERNMENT | {"FACE_ENDPOINT": "", "FACE_REGION": "westeurope"}, "FACE_REGION"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(environment: Mapping[str, str], name: str) -> None:
    """What would start and then fail, or be unsafe, does not start."""
    [line] = refusal_of(environment)

    assert line.startswith(f"{name}: expected ")


SECRET = {"AUTH_ISSUER": "", "AUTH_SECRET_NAME": "backend"}


@pytest.mark.parametrize(
    ("environment", "client_auth", "needs_token"),
    [
        (LOCAL, None, False),
        (LOCAL | {"CLIENT_REFERENCE": "token"}, None, True),
        (LOCAL | JWT, "jwt", True),
        (LOCAL | JWT | {"CLIENT_REFERENCE": "caller"}, "jwt", False),
        (LOCAL | JWT | {"CLIENT_AUTH": "none"}, "none", False),
        (LOCAL | JWT | SECRET | {"AUTH_SECRET": "x" * 32}, "jwt", True),
        (AZURE | JWT, "jwt", True),
        (AZURE | JWT | SECRET, "jwt", True),
    ],
)
def test_callers_sign_in_and_their_tokens_name_the_transaction(
    environment: Mapping[str, str], client_auth: str | None, needs_token: bool
) -> None:
    """By issuers, or by a secret: in the vault, or locally in a setting. `none` switches it off.

    Where callers sign in, a token names the transaction unless the operator says otherwise.
    """
    settings = Settings.from_mapping(environment)

    assert (settings.client_auth, settings.reference_needs_token) == (client_auth, needs_token)


def test_secrets_do_not_show_in_the_repr() -> None:
    """Settings are printed by mistake sooner or later."""
    connection = f"AccountName=x;SharedAccessSignature={CANARY}"
    secrets = {
        "FACE_KEY": CANARY,
        "ID_PEPPER": CANARY,
        "AUTH_SECRET_NAME": "x",
        "AUTH_SECRET": CANARY * 2,
        "AzureWebJobsStorage": connection,
    }
    settings = Settings.from_mapping(LOCAL | JWT | secrets)

    assert CANARY not in repr(settings) + str(settings)


def test_development_storage_is_azurites_own_account() -> None:
    """What the Functions tools call the emulator is understood."""
    settings = Settings.from_mapping(
        LOCAL | {"ID_PEPPER": "p", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    )

    assert settings.storage_connection is not None
    assert "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1" in settings.storage_connection.reveal()


@pytest.mark.parametrize(
    ("ends", "cloud"),
    [
        (("azure.com", "vault.azure.net", "azure.net", "windows.net"), PUBLIC),
        (("azure.us", "vault.usgovcloudapi.net", "azure.us", "usgovcloudapi.net"), GOVERNMENT_CLOUD),
        (("azure.cn", "vault.azure.cn", "azure.cn", "chinacloudapi.cn"), CHINA),
    ],
)
def test_each_cloud_has_its_own_hosts(ends: tuple[str, str, str, str], cloud: Cloud) -> None:
    """The storage account tells the cloud, and all other services are in the same one."""
    face, vault, events, storage = ends
    settings = Settings.from_mapping(
        GOVERNMENT
        | {
            "FACE_ENDPOINT": f"https://face-example.cognitiveservices.{face}/",
            "KEY_VAULT_URL": f"https://kv-example.{vault}/",
            "EVENT_GRID_TOPIC_ENDPOINT": f"https://evgt-example.region-1.eventgrid.{events}/api/events",
            _TABLES: f"https://stexample.table.core.{storage}/",
        }
    )

    assert settings.cloud is cloud
    assert settings.tables_url == f"https://stexample.table.core.{storage}"
    assert settings.face_url == f"https://face-example.cognitiveservices.{face}"
