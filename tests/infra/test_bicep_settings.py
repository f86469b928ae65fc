"""The app settings that are deployed, and the ones that the app reads."""

import re
from collections.abc import Mapping

import pytest

from shared.face.endpoint import custom_endpoint
from shared.queues.port import RESULTS_QUEUE
from shared.settings import SETTINGS, Settings
from shared.storage.port import Table
from tests.infra.arm_snapshot import Resource, Snapshot
from tests.infra.bicep_compiler import ENVIRONMENTS, Compiled

READ_BY_THE_HOST = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsDisableHomepage",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
}
NOT_DEPLOYED = {
    "AzureWebJobsStorage": "for local runs: it would win over the identity",
    "EVENTS_FILE": "for local runs: refused in Azure",
    "FACE_KEY": "for local runs: refused in Azure",
    "ID_PEPPER": "for local runs: refused in Azure",
    "FACE_REGION": "FACE_ENDPOINT names the account itself, and works with Entra tokens too",
    "FACE_KEY_SECRET": "the default is what modules/secrets.bicep writes",
    "PEPPER_SECRET": "the default is what modules/secrets.bicep writes",
    "WEBSITE_HOSTNAME": "set by the platform",
    "WEBSITE_SITE_NAME": "set by the platform",
}
# What is known only when it is deployed.
_AT_DEPLOYMENT = {
    # The topic's, and the Face account's: both come from an output `endpoint`.
    "topic-": "https://evgt-weu-abc.westeurope-1.eventgrid.azure.net/api/events",
    "face-": "https://face-weu-abc.cognitiveservices.azure.com/",
    "clientId": "11111111-2222-3333-4444-555555555555",
    "uri": "https://kv-weu-abc.vault.azure.net/",
    "frontDoorId": "66666666-7777-8888-9999-000000000000",
    "regionHostNames": "liveness-prod-weu-abc.z01.azurefd.net",
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_app_settings_are_the_ones_that_the_app_reads(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """Every setting of `shared/settings.py` is deployed or left out for a reason, and none that nobody reads."""
    expected = READ_BY_THE_HOST | {setting.name for setting in SETTINGS} - set(NOT_DEPLOYED)

    for settings in _deployed(snapshots[environment]):
        assert set(settings) == expected, (
            "the settings in modules/function-app.bicep are not those that shared/settings.py reads: "
            "what is left out on purpose is in NOT_DEPLOYED, with a reason"
        )


def test_what_is_not_deployed_is_read() -> None:
    """The list of settings that are left out names no setting that is gone."""
    assert set(NOT_DEPLOYED) <= {setting.name for setting in SETTINGS}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_app_starts_with_the_deployed_settings(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """The values are ones that the app takes, together as well as each."""
    for deployed in _deployed(snapshots[environment]):
        settings = Settings.from_mapping(_resolved(deployed))

        assert settings.in_azure
        assert settings.endpoint == custom_endpoint(_AT_DEPLOYMENT["face-"])


def test_defaults_are_those_of_the_app(snapshots: Mapping[str, Snapshot]) -> None:
    """What an environment leaves open is what the app would do by itself: neither has a default of its own."""
    chosen = {"auth_token_ttl_max_seconds", "client_auth", "client_address"}
    for deployed in _deployed(snapshots["dev"]):
        settings = Settings.from_mapping(_resolved(deployed))
        with_default = [setting for setting in SETTINGS if setting.default is not None]

        for setting in with_default:
            if setting.field not in chosen:
                assert getattr(settings, setting.field) == setting.default, setting.name


def test_values_that_parameters_allow_are_taken_by_the_app(templates: Mapping[str, Compiled]) -> None:
    """A parameter file cannot hold a value that the compiler likes and the app refuses."""
    parse = {setting.name: setting.parse for setting in SETTINGS}
    broker = templates["types.bicep"].template["definitions"]["brokerType"]["properties"]
    limited = {name: kind for name, kind in broker.items() if name != "activeFaceKey"}

    for name, kind in limited.items():
        setting = re.sub("([A-Z])", r"_\1", name).upper()
        for key in ("minValue", "maxValue"):
            if key in kind:
                parse[setting](str(kind[key]))
        for value in kind.get("allowedValues", ()):
            parse[setting](value)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_region_has_the_tables_of_the_app(snapshots: Mapping[str, Snapshot], environment: str) -> None:
    """The tables are made by the deployment, under the names that the store looks for, and no others."""
    snapshot = snapshots[environment]

    for stamp in snapshot.stamps():
        tables = snapshot.find("Microsoft.Storage/storageAccounts/tableServices/tables", stamp)
        assert {table["name"].split("/")[-1] for table in tables} == {table.value for table in Table}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_region_has_the_queue_of_the_app(snapshots: Mapping[str, Snapshot], environment: str) -> None:
    """The trigger's queue is there before the first message, and so is the one for messages that fail."""
    snapshot = snapshots[environment]

    for stamp in snapshot.stamps():
        queues = snapshot.find("Microsoft.Storage/storageAccounts/queueServices/queues", stamp)
        assert {RESULTS_QUEUE, f"{RESULTS_QUEUE}-poison"} <= {
            queue["name"].split("/")[-1] for queue in queues
        }


def _deployed(snapshot: Snapshot) -> list[Mapping[str, str]]:
    found: list[Resource] = snapshot.find("Microsoft.Web/sites/config:appsettings")
    return [resource["properties"] for resource in found]


def _resolved(settings: Mapping[str, str]) -> dict[str, str]:
    return {"WEBSITE_SITE_NAME": "func"} | {name: _value(text) for name, text in settings.items()}


def _value(text: str) -> str:
    if not text.startswith("["):
        return text
    # The last part of a reference says what it is; an output `endpoint` is told apart by the module that has it.
    known = re.search("|".join(rf"\.({name})\b|'({name})\{{0\}}'" for name in _AT_DEPLOYMENT), text)
    value = _AT_DEPLOYMENT[known[0].strip(".'").removesuffix("{0}")] if known else "known when it is deployed"
    form = re.match(r"\[format\('([^']*)'", text)
    return form[1].replace("{0}", value) if form and not text.startswith("[reference") else value
