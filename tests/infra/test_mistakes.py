"""Deliberate mistakes in copies of the infrastructure: the compiler, or the checks of the order, find each."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.bicep_compiler import INFRA, Bicep
from tests.infra.test_region import ORDER

Edit = Callable[[str, str, str], Path]


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """Copy the infrastructure with one text of one file replaced, and return the file of the copy."""

    def replace(file: str, old: str, new: str) -> Path:
        copy = shutil.copytree(INFRA, tmp_path / "bicep") / file
        text = copy.read_text("utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        copy.write_text(text.replace(old, new), "utf-8")
        return copy

    return replace


_ACCOUNTS = "resource face 'Microsoft.CognitiveServices/accounts@2025-06"
_KEY = "output endpoint string = face.listKeys().key1"
_LOGS = "  location: {}\n  tags: tags\n  kind: 'web'"
_FACE, _INSIGHTS = "modules/face.bicep", "modules/monitoring.bicep"
# The file, its text, what replaces it, and a part of the compiler's message.
COMPILER = [
    ("modules/storage.bicep", "allowSharedKeyAccess", "allowSharedKeyAcces", "Warning BCP089"),
    (_FACE, f"{_ACCOUNTS}-01", f"{_ACCOUNTS}-30", "Warning BCP081: Resource type"),
    ("region.bicep", "takesKeys: faceTakesKeys", "takesKeys: 'yes'", "Error BCP036: The property"),
    (
        _FACE,
        "output endpoint string = face.properties.endpoint",
        _KEY,
        "Error outputs-should-not-contain-sec",
    ),
    (_INSIGHTS, _LOGS.format("location"), _LOGS.format("'westeurope'"), "Error no-hardcoded-location"),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), COMPILER)
def test_the_compiler_finds(bicep: Bicep, edit: Edit, file: str, old: str, new: str, message: str) -> None:
    """The build fails, and not the deployment."""
    messages = bicep.compile(edit(file, old, new)).messages

    assert any(message in line for line in messages), messages


_NEEDS = "dependsOn: [roles, secrets, storage]"
_REGION, _SECRETS = "region.bicep", "modules/secrets.bicep"
_EXAMPLE = "dependsOn: [functionApp, roles]"
FAULTS = [
    (_REGION, _NEEDS, "dependsOn: [secrets, storage]", "functionApp must depend on roles"),
    (_REGION, _NEEDS, "dependsOn: [roles, storage]", "functionApp must depend on secrets"),
    (_REGION, _EXAMPLE, "dependsOn: [roles]", "subscription_example must depend on functionApp"),
    (_SECRETS, "  @onlyIfNotExists()\n", "", "keyVault::idPepper must be onlyIfNotExists"),
    (
        "modules/function-app.bicep",
        "dependsOn: [ftpPassword]",
        "dependsOn: [authentication]",
        "functionApp::ftpPassword and functionApp::scmPassword must not be changed at once",
    ),
    (
        "modules/event-subscription.bicep",
        "  @retryOn(['ResourceDeploymentFailure', 'Managed Identity Authorization Error'], 5)\n",
        "",
        "the subscription must have retryOn",
    ),
    ("modules/network.bicep", "@batchSize(1)\n", "", "privateEndpoints must have batchSize(1)"),
]


@pytest.mark.parametrize(("file", "old", "new", "fault"), FAULTS)
def test_the_checks_of_the_order_find(
    bicep: Bicep, edit: Edit, file: str, old: str, new: str, fault: str
) -> None:
    """The compiler accepts any order; the deployment would fail, or the app would start without what it needs."""
    assert ORDER[file](bicep.compile(edit(file, old, new)).template) == [fault]
