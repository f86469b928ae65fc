"""The switches that neither committed environment uses."""

from pathlib import Path

import pytest

from tests.infra.arm_snapshot import ABSENT, Snapshot, read
from tests.infra.bicep_compiler import Bicep
from tests.infra.parameter_files import SWITCHED, snapshot_with


def test_with_identity_no_key_exists(switched: Snapshot) -> None:
    """Where the app calls Face as itself, the account takes no keys, and none is written to the vault."""
    [face] = switched.find("Microsoft.CognitiveServices/accounts")
    secrets = [secret["name"].split("/")[-1] for secret in switched.find("Microsoft.KeyVault/vaults/secrets")]

    assert face["properties"]["disableLocalAuth"] is True
    assert secrets == ["id-pepper"]
    assert not [text for _, text in switched.texts() if "listKeys" in text]


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
    bicep: Bicep, tmp_path: Path, switched: Snapshot
) -> None:
    """Another salt escapes the names that deleted vaults and Face accounts still hold."""
    salted = snapshot_with(bicep, SWITCHED.replace("'again'", "'and again'"), tmp_path)

    for kind in ("Storage/storageAccounts", "KeyVault/vaults", "CognitiveServices/accounts", "Web/sites"):
        [before] = switched.find(f"Microsoft.{kind}")
        [after] = salted.find(f"Microsoft.{kind}")
        assert before["name"] != after["name"]
        assert len(after["name"]) <= {"Storage/storageAccounts": 24, "KeyVault/vaults": 24}.get(kind, 32)
