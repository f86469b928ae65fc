"""The switches that neither committed environment uses."""

import re
from pathlib import Path

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import Bicep
from tests.infra.expectations import Rule, absent, equal, present
from tests.infra.parameter_files import SWITCHED, snapshot_with
from tests.infra.resource_types import ACCOUNT, FACE, FIREWALL, GROUP, ORIGIN_GROUP, PROFILE, SETTINGS, SITE


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


SWITCHES = (
    Rule(FACE, "location", equal("westus2"), "faceLocation"),
    Rule(FACE, "sku.name", equal("F0"), "faceSku"),
    Rule(FACE, "properties.restore", equal(True), "restoreFace"),
    Rule(FACE, "properties.disableLocalAuth", equal(True), "faceAuth"),
    Rule(ACCOUNT, "sku.name", equal("Standard_LRS"), "storageSku"),
    Rule(SITE, "tags.azd-service-name", equal("api"), "azdServiceName"),
    Rule(SITE, "properties.virtualNetworkSubnetId", absent(), "isolated"),
    Rule(SETTINGS, "properties.FACE_AUTH", equal("identity"), "faceAuth"),
    Rule(SETTINGS, "properties.FACE_MAX_TPS", equal("5"), "faceMaxTps"),
    Rule(SETTINGS, "properties.THROTTLE_DEVICE", equal("off"), "throttleDevice"),
    Rule(GROUP, "location", equal("westeurope"), "location", shared=True),
    Rule(PROFILE, "sku.name", equal("Premium_AzureFrontDoor"), "tier", shared=True),
    Rule(FIREWALL, "sku.name", equal("Premium_AzureFrontDoor"), "tier", shared=True),
    Rule(
        FIREWALL,
        "properties.customRules.rules.1.rateLimitThreshold",
        equal(50),
        "rateLimitPerMinute",
        shared=True,
    ),
    Rule(
        FIREWALL,
        "properties.managedRules.managedRuleSets.0.ruleSetType",
        equal("Microsoft_DefaultRuleSet"),
        "tier",
        shared=True,
    ),
)


@pytest.mark.parametrize("rule", SWITCHES, ids=str)
def test_switch_gets_where_it_belongs(switched: Snapshot, rule: Rule) -> None:
    """What a parameter says is what the resource is, and it would be noticed if it were not."""
    assert rule.broken(switched) == []
    assert rule.unnoticed(switched) == []


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("'test'", "'Test'", 'environmentName holds lower-case letters and digits alone, and not "Test"'),
        ("'test'", "'te-st'", 'environmentName holds lower-case letters and digits alone, and not "te-st"'),
        ("code: 'wus'", "code: 'wUS'", "there is no region wus, but wUS, eus"),
        ("'wus'", "'w_us'", 'the code of a region holds lower-case letters and digits alone, and not "w_us"'),
        ("['wus']", "['wus', 'weu']", "there is no region weu, but wus, eus"),
    ],
)
def test_what_cannot_be_a_name_or_is_no_region_is_refused(
    bicep: Bicep, tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    """Before anything is deployed, and in words: Azure would say so of the third resource, halfway."""
    with pytest.raises(AssertionError, match=re.escape(message)):
        snapshot_with(bicep, SWITCHED.replace(right, wrong), tmp_path)


def test_a_region_that_is_alone_is_not_probed(bicep: Bicep, tmp_path: Path, switched: Snapshot) -> None:
    """Front Door would ask it whatever it answers. A ring of one region is not alone: the others are there."""
    probed = Rule(f"{ORIGIN_GROUP}:all-regions", "properties.healthProbeSettings", present(), "", shared=True)
    alone = snapshot_with(bicep, re.sub(r"  \{ name: 'eastus'.+\n", "", SWITCHED), tmp_path)

    assert probed.broken(switched) == []
    assert len(probed.broken(alone)) == 1


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
