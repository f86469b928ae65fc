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


_FACE = "resource face 'Microsoft.CognitiveServices/accounts@2025-06"
_APP = "modules/function-app.bicep"
_LOGS = "  location: location\n  tags: tags\n  kind: 'web'"
_HTTP = "      http20Enabled: true\n"
_HOME = "      AzureWebJobsDisableHomepage: 'true'\n"
_ENDPOINT = "output endpoint string = face.properties.endpoint"
# The file, its text, what replaces it, and a part of the compiler's message.
COMPILER = [
    ("modules/storage.bicep", "allowSharedKeyAccess", "allowSharedKeyAcces", "Warning BCP089: The property"),
    ("modules/face.bicep", f"{_FACE}-01", f"{_FACE}-30", "Warning BCP081: Resource type"),
    (
        "region.bicep",
        "takesKeys: faceTakesKeys",
        "takesKeys: 'yes'",
        'Error BCP036: The property "takesKeys"',
    ),
    (
        *("modules/face.bicep", _ENDPOINT, "output endpoint string = face.listKeys().key1"),
        "Error outputs-should-not-contain-secrets: Outputs should not contain secrets.",
    ),
    (
        *("modules/monitoring.bicep", _LOGS, _LOGS.replace("location: location", "location: 'westeurope'")),
        "Error no-hardcoded-location: A resource location should not use a hard-coded string",
    ),
]
# The same, and a part of the fault that the table of rules finds.
FAULTS = [
    (
        *(_APP, _HTTP, f"{_HTTP}      ftpsState: 'Disabled'\n"),
        f"properties.siteConfig.ftpsState is 'Disabled', {FLEX_REFUSES}",
    ),
    (
        *(_APP, _HOME, f"{_HOME}      FUNCTIONS_WORKER_RUNTIME: 'python'\n"),
        f"properties.FUNCTIONS_WORKER_RUNTIME is 'python', {FLEX_REFUSES}",
    ),
    (
        *("modules/storage.bicep", "    allowSharedKeyAccess: false\n", ""),
        "properties.allowSharedKeyAccess is absent, but must be False: a leaked key must open nothing",
    ),
    (
        *("modules/storage.bicep", ", 'liveness-results-poison'", ""),
        "has no Microsoft.Storage/storageAccounts/queueServices/queues:liveness-results-poison: failed messages",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), COMPILER)
def test_the_compiler_finds(bicep: Bicep, edit: Edit, file: str, old: str, new: str, message: str) -> None:
    """The build fails, and not the deployment."""
    messages = bicep.compile(edit(file, old, new) / file).messages

    assert any(message in line for line in messages), messages


@pytest.mark.parametrize(("file", "old", "new", "message"), FAULTS)
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
