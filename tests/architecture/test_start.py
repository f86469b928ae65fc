"""The import of the app, which a cold start waits for."""

import subprocess
import sys

import pytest

from tests.architecture.source_tree import ROOT

SLOW = {
    *("aiohttp", "azure.core", "azure.eventgrid", "azure.identity", "azure.keyvault", "azure.storage"),
    *("jwt", "pydantic"),
}
LOCAL = {"FACE_REGION": "westeurope", "FACE_KEY": "a-key-of-the-tests"}
IN_AZURE = {
    "AzureWebJobsStorage__accountName": "brokerstorage",
    "EVENT_GRID_TOPIC_ENDPOINT": "https://broker.westeurope-1.eventgrid.azure.net/api/events",
    "CLIENT_AUTH": "none",
    "FACE_AUTH": "identity",
    "FACE_ENDPOINT": "https://a-face.cognitiveservices.azure.com",
    "KEY_VAULT_URL": "https://a-vault.vault.azure.net",
    "WEBSITE_HOSTNAME": "broker.azurewebsites.net",
    "WEBSITE_SITE_NAME": "broker",
}

SIGNED_IN = IN_AZURE | {
    "CLIENT_AUTH": "jwt",
    "AUTH_ISSUER": "https://issuer.example",
    "AUTH_AUDIENCE": "api://liveness",
}


@pytest.mark.parametrize("environment", [LOCAL, IN_AZURE, SIGNED_IN], ids=["local", "in Azure", "signed in"])
def test_import_of_the_app_loads_nothing_slow(environment: dict[str, str]) -> None:
    """The SDKs, pydantic and PyJWT are imported when they are first needed."""
    loaded = modules_after("import function_app", environment)

    assert {"create_session.use_case", "shared.app", "azure.functions"} <= loaded
    assert loaded & SLOW == set()


def test_import_with_wrong_settings_fails() -> None:
    """The app does not start without its settings, and the error names the first that is missing."""
    with pytest.raises(subprocess.CalledProcessError) as failure:
        modules_after("import function_app", {})

    assert "SettingsError: FACE_REGION: expected" in failure.value.stderr


def modules_after(statement: str, environment: dict[str, str]) -> set[str]:
    """The modules that a new interpreter has loaded after a statement."""
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    child = subprocess.run(  # noqa: S603 - this interpreter, and texts of this file.
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return set(child.stdout.split())
