"""Deliberate mistakes in copies of the infrastructure, and what is said about each."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.bicep_compiler import INFRA, Bicep
from tests.infra.infra_rules import RULES
from tests.infra.template_order import app_waits_for, made_at_once, roles_not_before_the_app, written_once

_RULES = [rule for rule in RULES if "dev" in rule.environments]
Edit = Callable[[str, str, str], Path]


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """Copy the infrastructure with one text of one file replaced; answers the folder of the copy."""

    def replace(file: str, old: str, new: str) -> Path:
        copy = shutil.copytree(INFRA, tmp_path / "bicep")
        text = (copy / file).read_text("utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        (copy / file).write_text(text.replace(old, new), "utf-8")
        return copy

    return replace


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        pytest.param(
            "modules/storage.bicep",
            "allowSharedKeyAccess: false",
            "allowSharedKeyAcces: false",
            'Warning BCP089: The property "allowSharedKeyAcces" is not allowed on objects of type '
            '"StorageAccountPropertiesCreateParametersOrStorageAccountProperties". '
            'Did you mean "allowSharedKeyAccess"?',
            id="property-name",
        ),
        pytest.param(
            "modules/face.bicep",
            "resource face 'Microsoft.CognitiveServices/accounts@2025-06-01'",
            "resource face 'Microsoft.CognitiveServices/accounts@2025-06-30'",
            'Warning BCP081: Resource type "Microsoft.CognitiveServices/accounts@2025-06-30" does not '
            "have types available.",
            id="api-version",
        ),
        pytest.param(
            "region.bicep",
            "    takesKeys: faceTakesKeys\n",
            "    takesKeys: 'yes'\n",
            'Error BCP036: The property "takesKeys" expected a value of type "bool" but the provided '
            "value is of type \"'yes'\".",
            id="type-of-a-parameter",
        ),
        pytest.param(
            "modules/face.bicep",
            "output endpoint string = face.properties.endpoint",
            "output endpoint string = face.listKeys().key1",
            "Error outputs-should-not-contain-secrets: Outputs should not contain secrets. Found "
            "possible secret: function 'listKeys'",
            id="secret-in-an-output",
        ),
        pytest.param(
            "modules/monitoring.bicep",
            "  location: location\n  tags: tags\n  kind: 'web'",
            "  location: 'westeurope'\n  tags: tags\n  kind: 'web'",
            "Error no-hardcoded-location: A resource location should not use a hard-coded string "
            "or variable value.",
            id="region-in-a-module",
        ),
    ],
)
def test_the_compiler_finds(bicep: Bicep, edit: Edit, file: str, old: str, new: str, message: str) -> None:
    """What would fail in Azure, or leak, is a line of the build before."""
    compiled = bicep.compile(edit(file, old, new) / file)

    assert any(message in said for said in compiled.wrong), compiled.wrong


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        pytest.param(
            "modules/function-app.bicep",
            "      http20Enabled: true\n",
            "      http20Enabled: true\n      ftpsState: 'Disabled'\n",
            "properties.siteConfig.ftpsState is 'Disabled', and has to be absent: Flex Consumption answers 400",
            id="property-that-flex-refuses",
        ),
        pytest.param(
            "modules/function-app.bicep",
            "      AzureWebJobsDisableHomepage: 'true'\n",
            "      AzureWebJobsDisableHomepage: 'true'\n      FUNCTIONS_WORKER_RUNTIME: 'python'\n",
            "properties.FUNCTIONS_WORKER_RUNTIME is 'python', and has to be absent: Flex Consumption answers 400",
            id="setting-that-flex-refuses",
        ),
        pytest.param(
            "modules/storage.bicep",
            "    allowSharedKeyAccess: false\n",
            "",
            "properties.allowSharedKeyAccess is absent, and has to be = False: nothing can be reached with a key",
            id="forgotten-property",
        ),
        pytest.param(
            "modules/storage.bicep",
            ", 'liveness-results-poison'",
            "",
            "has no Microsoft.Storage/storageAccounts/queueServices/queues:liveness-results-poison: messages that fail",
            id="forgotten-queue",
        ),
    ],
)
def test_the_table_finds(bicep: Bicep, edit: Edit, file: str, old: str, new: str, message: str) -> None:
    """What the compiler lets through, and Azure or a reviewer would not, breaks a line of the table."""
    snapshot = bicep.snapshot(edit(file, old, new) / "env/dev.bicepparam")
    broken = [line for rule in _RULES for line in rule.broken(snapshot)]

    assert len(broken) == 1
    assert message in broken[0]


def test_a_role_that_comes_after_the_app_is_found(bicep: Bicep, edit: Edit) -> None:
    """The compiler is content with any order; the app would start, and the package be published, without its roles."""
    copy = edit("region.bicep", "dependsOn: [roles, secrets, storage]", "dependsOn: [secrets, storage]")

    assert roles_not_before_the_app(bicep.compile(copy / "region.bicep").template) == [
        "roles has role assignments, and functionApp is made without waiting for them"
    ]


def test_an_app_before_its_secrets_is_found(bicep: Bicep, edit: Edit) -> None:
    """The app would start without a key."""
    copy = edit("region.bicep", "dependsOn: [roles, secrets, storage]", "dependsOn: [roles, storage]")

    assert "secrets" not in app_waits_for(bicep.compile(copy / "region.bicep").template)


def test_a_pepper_that_is_written_again_is_found(bicep: Bicep, edit: Edit) -> None:
    """Each deployment would make all devices new ones."""
    copy = edit("modules/secrets.bicep", "  @onlyIfNotExists()\n", "")

    assert written_once(bicep.compile(copy / "modules/secrets.bicep").template) == set()


def test_private_endpoints_that_are_made_at_once_are_found(bicep: Bicep, edit: Edit) -> None:
    """Some would fail, now and then."""
    copy = edit("modules/network.bicep", "@batchSize(1)\n", "")

    assert made_at_once(bicep.compile(copy / "modules/network.bicep").template) == {"privateEndpoints"}


def test_nothing_is_found_without_a_mistake(bicep: Bicep, edit: Edit) -> None:
    """The copies are right but for their mistakes."""
    copy = edit("region.bicep", "metadata description", "metadata  description")
    snapshot = bicep.snapshot(copy / "env/dev.bicepparam")

    assert bicep.compile(copy / "main.bicep").wrong == []
    assert [line for rule in _RULES for line in rule.broken(snapshot)] == []
