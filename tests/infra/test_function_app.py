"""`modules/function-app.bicep`: the deployed app settings are the settings that the app reads."""

import re
from collections.abc import Mapping

import pytest

from shared.settings import SETTINGS, Settings
from tests.infra import rules
from tests.infra.arm_snapshot import Snapshot
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
    "AUTH_SECRET": "for local runs: refused in Azure",
    "AzureWebJobsStorage": "for local runs: the host would use it in place of the identity",
    "AzureWebJobsStorage__tableServiceUri": "for the other clouds, where it is deployed in place of the name",
    "EVENTS_FILE": "for local runs: refused in Azure",
    "FACE_KEY": "for local runs: refused in Azure",
    "ID_PEPPER": "for local runs: refused in Azure",
    "FACE_REGION": "FACE_ENDPOINT names the account itself, and works with Entra tokens too",
    "FACE_KEY_SECRET": "the default is what modules/secrets.bicep writes",
    "PEPPER_SECRET": "the default is what modules/secrets.bicep writes",
    "WEBSITE_HOSTNAME": "Azure sets it",
    "WEBSITE_SITE_NAME": "Azure sets it",
}
# Examples of values that are known only after the deployment.
_AT_DEPLOYMENT = {
    # Topic and Face account both have an output `endpoint`.
    "topic-": "https://evgt-weu-abc.westeurope-1.eventgrid.azure.net/api/events",
    "face-": "https://face-weu-abc.cognitiveservices.azure.com/",
    "clientId": "11111111-2222-3333-4444-555555555555",
    "uri": "https://kv-weu-abc.vault.azure.net/",
    "frontDoorId": "66666666-7777-8888-9999-000000000000",
    "regionHostNames": "liveness-prod-weu-abc.z01.azurefd.net",
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_app_starts_with_the_deployed_settings(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """Each setting of `shared/settings.py` is deployed, or in `NOT_DEPLOYED` with a reason.

    The app accepts the values. A setting that dev does not choose has the same default in Bicep and in the app.
    """
    names = {setting.name for setting in SETTINGS}
    chosen = {"auth_token_ttl_max_seconds", "client_auth", "client_address", "face_max_tps"}
    assert set(NOT_DEPLOYED) <= names
    for resource in snapshots[environment].find(rules.SETTINGS):
        deployed = resource["properties"]
        settings = Settings.from_mapping(_resolved(deployed))

        assert set(deployed) == READ_BY_THE_HOST | names - set(NOT_DEPLOYED), (
            "modules/function-app.bicep must set what shared/settings.py reads; "
            "NOT_DEPLOYED has the exceptions, each with its reason"
        )
        assert settings.in_azure
        assert settings.face_url == _AT_DEPLOYMENT["face-"].removesuffix("/")
        for setting in SETTINGS:
            if environment == "dev" and setting.default is not None and setting.field not in chosen:
                assert getattr(settings, setting.field) == setting.default, setting.name


def test_the_free_tier_of_face_is_not_overrun(snapshots: Mapping[str, Snapshot]) -> None:
    """One instance makes at most 20 calls in any minute, as F0 allows; its budget lets through two at once."""
    [resource] = snapshots["dev"].find(rules.SETTINGS)
    ceiling = Settings.from_mapping(_resolved(resource["properties"])).face_max_tps

    assert ceiling * 60 + max(2, ceiling) <= 20


def test_values_that_parameters_allow_are_accepted_by_the_app(templates: Mapping[str, Compiled]) -> None:
    """The app accepts every value that the compiler accepts in a parameter file."""
    parse = {setting.name: setting.parse for setting in SETTINGS}
    broker = dict(templates["types.bicep"].template["definitions"]["brokerType"]["properties"])
    del broker["activeFaceKey"]

    for name, kind in broker.items():
        setting = re.sub("([A-Z])", r"_\1", name).upper()
        for value in (kind.get("minValue"), kind.get("maxValue"), *kind.get("allowedValues", ())):
            if value is not None:
                parse[setting](str(value))


def _resolved(settings: Mapping[str, str]) -> dict[str, str]:
    return {"WEBSITE_SITE_NAME": "func"} | {name: _value(text) for name, text in settings.items()}


def _value(text: str) -> str:
    if not text.startswith("["):
        return text
    # The last part of a reference names the value; for an output `endpoint`, the module does.
    known = re.search("|".join(rf"\.({name})\b|'({name})\{{0\}}'" for name in _AT_DEPLOYMENT), text)
    value = (
        _AT_DEPLOYMENT[known[0].strip(".'").removesuffix("{0}")] if known else "known after the deployment"
    )
    form = re.match(r"\[format\('([^']*)'", text)
    return form[1].replace("{0}", value) if form and not text.startswith("[reference") else value
