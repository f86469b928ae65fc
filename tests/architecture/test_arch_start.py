"""What starting the app loads: a cold start pays for every module of it."""

import json
import subprocess
import sys

import pytest

from tests.architecture.source_tree import ROOT, within

SLOW = (
    "aiohttp",
    "azure.core",
    "azure.data",
    "azure.eventgrid",
    "azure.identity",
    "azure.keyvault",
    "azure.storage",
    "msal",
)
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


@pytest.mark.parametrize(
    "environment", [pytest.param(LOCAL, id="local"), pytest.param(IN_AZURE, id="in Azure")]
)
def test_import_of_the_app_loads_no_sdk(environment: dict[str, str]) -> None:
    """The SDKs of Azure are loaded when something needs them, and not by the host's import of the app."""
    loaded = modules_after("import function_app", environment)

    assert "function_app" in loaded
    assert {"create_session.use_case", "shared.app", "azure.functions"} <= loaded
    assert [name for name in sorted(loaded) if is_slow(name)] == []


def test_sdk_that_is_loaded_is_seen() -> None:
    """The same look finds an SDK where one is imported."""
    loaded = modules_after("import azure.identity", {})

    assert {name for name in SLOW if name in loaded} >= {"azure.core", "azure.identity", "msal"}


def test_import_with_wrong_settings_fails() -> None:
    """The app does not start half-way: without settings the import itself fails, and says what is missing."""
    with pytest.raises(subprocess.CalledProcessError) as failure:
        modules_after("import function_app", {})

    assert "SettingsError: FACE_REGION: expected" in failure.value.stderr


def is_slow(name: str) -> bool:
    """Whether a loaded module is an SDK's."""
    return any(within(name, module) for module in SLOW)


def modules_after(statement: str, environment: dict[str, str]) -> set[str]:
    """The modules that a fresh interpreter in the project's folder has loaded after a statement."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    child = subprocess.run(  # noqa: S603 - this interpreter, and texts of this file.
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return set(json.loads(child.stdout))
