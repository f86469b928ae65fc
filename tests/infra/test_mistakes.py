"""Deliberate mistakes in copies of the infrastructure: each is found, and by the check that is meant to find it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.bicep_compiler import INFRA, Bicep
from tests.infra.rules import RULES
from tests.infra.test_region import ORDER

Edit = Callable[[str, str, str], Path]
FLEX_REFUSES = "but must be absent: Flex Consumption answers 400"


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """Copy the infrastructure with one text of one file replaced, and return the folder of the copy."""

    def replace(file: str, old: str, new: str) -> Path:
        copy = shutil.copytree(INFRA, tmp_path / "bicep")
        text = (copy / file).read_text("utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        (copy / file).write_text(text.replace(old, new), "utf-8")
        return copy

    return replace


def broken_rules(bicep: Bicep, copy: Path) -> list[str]:
    """The rules that the development environment breaks."""
    snapshot = bicep.snapshot(copy / "env/dev.bicepparam")
    return [line for rule in RULES if "dev" in rule.environments for line in rule.broken(snapshot)]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        pytest.param(
            "modules/storage.bicep",
            "allowSharedKeyAccess: false",
            "allowSharedKeyAcces: false",
            'Warning BCP089: The property "allowSharedKeyAcces" is not allowed',
            id="misspelt property",
        ),
        pytest.param(
            "modules/face.bicep",
            "resource face 'Microsoft.CognitiveServices/accounts@2025-06-01'",
            "resource face 'Microsoft.CognitiveServices/accounts@2025-06-30'",
            'Warning BCP081: Resource type "Microsoft.CognitiveServices/accounts@2025-06-30" does not have types',
            id="API version that does not exist",
        ),
        pytest.param(
            "region.bicep",
            "    takesKeys: faceTakesKeys\n",
            "    takesKeys: 'yes'\n",
            'Error BCP036: The property "takesKeys" expected a value of type "bool"',
            id="wrong type of a parameter",
        ),
        pytest.param(
            "modules/face.bicep",
            "output endpoint string = face.properties.endpoint",
            "output endpoint string = face.listKeys().key1",
            "Error outputs-should-not-contain-secrets: Outputs should not contain secrets.",
            id="secret in an output",
        ),
        pytest.param(
            "modules/monitoring.bicep",
            "  location: location\n  tags: tags\n  kind: 'web'",
            "  location: 'westeurope'\n  tags: tags\n  kind: 'web'",
            "Error no-hardcoded-location: A resource location should not use a hard-coded string",
            id="fixed region in a module",
        ),
    ],
)
def test_the_compiler_finds(bicep: Bicep, edit: Edit, file: str, old: str, new: str, message: str) -> None:
    """The build fails, and not the deployment."""
    messages = bicep.compile(edit(file, old, new) / file).messages

    assert any(message in line for line in messages), messages


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        pytest.param(
            "modules/function-app.bicep",
            "      http20Enabled: true\n",
            "      http20Enabled: true\n      ftpsState: 'Disabled'\n",
            f"properties.siteConfig.ftpsState is 'Disabled', {FLEX_REFUSES}",
            id="property that Flex Consumption refuses",
        ),
        pytest.param(
            "modules/function-app.bicep",
            "      AzureWebJobsDisableHomepage: 'true'\n",
            "      AzureWebJobsDisableHomepage: 'true'\n      FUNCTIONS_WORKER_RUNTIME: 'python'\n",
            f"properties.FUNCTIONS_WORKER_RUNTIME is 'python', {FLEX_REFUSES}",
            id="setting that Flex Consumption refuses",
        ),
        pytest.param(
            "modules/storage.bicep",
            "    allowSharedKeyAccess: false\n",
            "",
            "properties.allowSharedKeyAccess is absent, but must be False: a leaked key must open nothing",
            id="forgotten property",
        ),
        pytest.param(
            "modules/storage.bicep",
            ", 'liveness-results-poison'",
            "",
            "has no Microsoft.Storage/storageAccounts/queueServices/queues:liveness-results-poison: failed messages",
            id="forgotten queue",
        ),
    ],
)
def test_the_table_of_rules_finds(
    bicep: Bicep, edit: Edit, file: str, old: str, new: str, message: str
) -> None:
    """The compiler accepts the mistake, and one rule is broken."""
    [broken] = broken_rules(bicep, edit(file, old, new))

    assert message in broken


_DEPENDENCIES = "dependsOn: [roles, secrets, storage]"


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("region.bicep", _DEPENDENCIES, "dependsOn: [secrets, storage]", "functionApp must depend on roles"),
        ("region.bicep", _DEPENDENCIES, "dependsOn: [roles, storage]", "functionApp must depend on secrets"),
        (
            "modules/secrets.bicep",
            "  @onlyIfNotExists()\n",
            "",
            "keyVault::idPepper must be onlyIfNotExists",
        ),
        ("modules/network.bicep", "@batchSize(1)\n", "", "privateEndpoints must have batchSize(1)"),
    ],
)
def test_the_checks_of_the_order_find(
    bicep: Bicep, edit: Edit, file: str, old: str, new: str, fault: str
) -> None:
    """The compiler accepts any order; the deployment would fail, or the app would start without what it needs."""
    assert ORDER[file](bicep.compile(edit(file, old, new) / file).template) == [fault]


def test_nothing_is_found_without_a_mistake(bicep: Bicep, edit: Edit) -> None:
    """A copy with a harmless edit compiles and breaks no rule."""
    copy = edit("region.bicep", "metadata description", "metadata  description")

    assert bicep.compile(copy / "main.bicep").messages == ()
    assert broken_rules(bicep, copy) == []
