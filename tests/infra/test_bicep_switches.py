"""The switches that neither committed environment uses."""

import shutil
from pathlib import Path

import pytest

from tests.infra.arm_snapshot import ABSENT, Snapshot, read
from tests.infra.bicep_compiler import INFRA, Bicep

_PARAMETERS = """
using '../main.bicep'
param environmentName = 'test'
param owner = 'tests'
param nameSalt = 'again'
param regions = [
  { name: 'westus', code: 'wus', faceLocation: 'westus2', faceSku: 'F0', storageSku: 'Standard_LRS' }
  { name: 'eastus', code: 'eus', alwaysReadyInstances: 3 }
]
param only = ['wus']
param broker = { clientAuth: 'none', faceAuth: 'identity', faceMaxTps: 5, throttleDevice: 'off' }
param frontDoor = { tier: 'Premium', rateLimitPerMinute: 50 }
param restoreFace = true
param azdServiceName = 'api'
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(INFRA, tmp_path_factory.mktemp("switches") / "bicep")


@pytest.fixture(scope="module")
def switched(bicep: Bicep, copy: Path) -> Snapshot:
    path = copy / "env/switched.bicepparam"
    path.write_text(_PARAMETERS, "utf-8")
    assert bicep.compile_parameters(path).wrong == []
    return bicep.snapshot(path)


def test_with_identity_no_key_exists(switched: Snapshot) -> None:
    """Where the app calls Face as itself, the account takes no keys, the vault holds none, and the role is there."""
    [face] = switched.find("Microsoft.CognitiveServices/accounts")
    secrets = [secret["name"].split("/")[-1] for secret in switched.find("Microsoft.KeyVault/vaults/secrets")]
    roles = [
        role["properties"]["roleDefinitionId"].split("/")[-1]
        for role in switched.find("Microsoft.Authorization/roleAssignments")
    ]

    assert face["properties"]["disableLocalAuth"] is True
    assert secrets == ["id-pepper"]
    assert "a97b65f3-24c7-4388-baec-2e87135dc908" in roles
    assert not [text for _, text in switched.texts() if "listKeys" in text]


def test_with_keys_the_app_may_not_call_face_as_itself(bicep: Bicep) -> None:
    """A role that is not needed is not given."""
    dev = bicep.snapshot(INFRA / "env/dev.bicepparam")

    assert "a97b65f3-24c7-4388-baec-2e87135dc908" not in str(dev.resources)


def test_only_the_chosen_regions_are_deployed(switched: Snapshot) -> None:
    """A ring leaves the other regions as they are, and their endpoints stay behind the firewall."""
    [policy] = switched.find("Microsoft.Cdn/profiles/securityPolicies")
    [association] = policy["properties"]["parameters"]["associations"]

    assert switched.stamps() == ["rg-liveness-test-wus"]
    assert [domain["id"].split("/")[-1] for domain in association["domains"]] == [
        "liveness-test",
        "liveness-test-wus",
        "liveness-test-eus",
    ]


@pytest.mark.parametrize(
    ("resource", "path", "expected"),
    [
        ("Microsoft.CognitiveServices/accounts", "location", "westus2"),
        ("Microsoft.CognitiveServices/accounts", "sku.name", "F0"),
        ("Microsoft.CognitiveServices/accounts", "properties.restore", True),
        ("Microsoft.Storage/storageAccounts", "sku.name", "Standard_LRS"),
        ("Microsoft.Web/sites", "tags.azd-service-name", "api"),
        ("Microsoft.Web/sites/config:appsettings", "properties.FACE_AUTH", "identity"),
        ("Microsoft.Web/sites/config:appsettings", "properties.FACE_MAX_TPS", "5"),
        ("Microsoft.Web/sites/config:appsettings", "properties.THROTTLE_DEVICE", "off"),
        (
            "Microsoft.Network/FrontDoorWebApplicationFirewallPolicies",
            "properties.customRules.rules.1.rateLimitThreshold",
            50,
        ),
        (
            "Microsoft.Network/FrontDoorWebApplicationFirewallPolicies",
            "properties.managedRules.managedRuleSets.0.ruleSetType",
            "Microsoft_DefaultRuleSet",
        ),
        ("Microsoft.Cdn/profiles", "sku.name", "Premium_AzureFrontDoor"),
        ("Microsoft.Web/sites", "properties.virtualNetworkSubnetId", ABSENT),
    ],
    ids=lambda part: str(part).split(".")[-1],
)
def test_switch_gets_where_it_belongs(switched: Snapshot, resource: str, path: str, expected: object) -> None:
    """What a parameter says is what the resource is."""
    assert [read(found, path) for found in switched.find(resource)] == [expected]


def test_the_salt_changes_every_name_that_is_taken_worldwide(
    bicep: Bicep, copy: Path, switched: Snapshot
) -> None:
    """Another salt escapes the names that deleted vaults and Face accounts still hold."""
    path = copy / "env/salted.bicepparam"
    path.write_text(_PARAMETERS.replace("'again'", "'and again'"), "utf-8")
    salted = bicep.snapshot(path)

    for kind in ("Storage/storageAccounts", "KeyVault/vaults", "CognitiveServices/accounts", "Web/sites"):
        [before] = switched.find(f"Microsoft.{kind}")
        [after] = salted.find(f"Microsoft.{kind}")
        assert before["name"] != after["name"]
        assert len(after["name"]) <= {"Storage/storageAccounts": 24, "KeyVault/vaults": 24}.get(kind, 32)
