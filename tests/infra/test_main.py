"""`main.bicep`: the parameters that no committed environment uses."""

import re
from pathlib import Path

import pytest

from tests.infra import rules
from tests.infra.arm_snapshot import ABSENT, Snapshot
from tests.infra.bicep_compiler import SWITCHED, Bicep, snapshot_with
from tests.infra.rule import Rule, rules_for


def test_with_identity_no_key_exists(switched: Snapshot) -> None:
    """An app that calls Face with its identity needs no key: the account has none, and nor does the vault."""
    [face] = switched.find(rules.FACE)
    secrets = [secret["name"].split("/")[-1] for secret in switched.find(rules.SECRETS)]

    assert face["properties"]["disableLocalAuth"] is True
    assert secrets == ["id-pepper"]
    assert not [text for _, text in switched.texts() if "listKeys" in text]


def test_only_the_chosen_regions_are_deployed(switched: Snapshot) -> None:
    """The other regions stay as they are, and their endpoints stay behind the firewall."""
    [policy] = switched.find(rules.PROTECTION)
    [association] = policy["properties"]["parameters"]["associations"]

    assert switched.region_groups() == ["rg-liveness-test-wus"]
    assert [domain["id"].split("/")[-1] for domain in association["domains"]] == [
        "liveness-test",
        "liveness-test-wus",
        "liveness-test-eus",
    ]


SWITCHES = (
    *rules_for(
        rules.FACE,
        ("location", "westus2", "faceLocation"),
        ("sku.name", "F0", "faceSku"),
        ("restore", True, "restoreFace"),
        ("disableLocalAuth", True, "faceAuth"),
    ),
    *rules_for(rules.ACCOUNT, ("sku.name", "Standard_LRS", "storageSku")),
    *rules_for(
        rules.SITE,
        ("tags.azd-service-name", "api", "azdServiceName"),
        ("virtualNetworkSubnetId", ABSENT, "isolated"),
    ),
    *rules_for(
        rules.SETTINGS,
        ("FACE_AUTH", "identity", "faceAuth"),
        ("FACE_MAX_TPS", "5", "faceMaxTps"),
        ("THROTTLE_DEVICE", "off", "throttleDevice"),
    ),
    *rules_for(rules.GROUP, ("location", "westeurope", "location"), shared=True),
    *rules_for(rules.PROFILE, ("sku.name", "Premium_AzureFrontDoor", "tier"), shared=True),
    *rules_for(
        rules.FIREWALL,
        ("sku.name", "Premium_AzureFrontDoor", "tier"),
        ("customRules.rules.1.rateLimitThreshold", 50, "rateLimitPerMinute"),
        ("managedRules.managedRuleSets.0.ruleSetType", "Microsoft_DefaultRuleSet", "tier"),
        shared=True,
    ),
)
"""The reason of each rule is the parameter that sets the property."""


@pytest.mark.parametrize("rule", SWITCHES, ids=str)
def test_parameter_sets_its_property(switched: Snapshot, rule: Rule) -> None:
    """Each parameter reaches its resource, and a wrong value is found."""
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
def test_bad_name_or_unknown_region_is_refused(
    bicep: Bicep, tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    """The build fails with a clear message; Azure would fail in the middle of the deployment."""
    with pytest.raises(AssertionError, match=re.escape(message)):
        snapshot_with(bicep, SWITCHED.replace(right, wrong), tmp_path)


def test_a_region_that_is_alone_is_not_probed(bicep: Bicep, tmp_path: Path, switched: Snapshot) -> None:
    """With one origin Front Door ignores probes. A deployment of one region out of two still has two origins."""
    probe = ("healthProbeSettings.probePath", "/api/health", "")
    [probed] = rules_for(f"{rules.ORIGIN_GROUP}:all-regions", probe, shared=True)
    alone = snapshot_with(bicep, re.sub(r"  \{ name: 'eastus'.+\n", "", SWITCHED), tmp_path)

    assert probed.broken(switched) == []
    assert len(probed.broken(alone)) == 1


def test_the_salt_changes_every_name_that_is_taken_worldwide(
    bicep: Bicep, tmp_path: Path, switched: Snapshot
) -> None:
    """Deleted vaults and Face accounts still hold their names; another salt gives free names."""
    salted = snapshot_with(bicep, SWITCHED.replace("'again'", "'and again'"), tmp_path)

    for kind in ("Storage/storageAccounts", "KeyVault/vaults", "CognitiveServices/accounts", "Web/sites"):
        [before] = switched.find(f"Microsoft.{kind}")
        [after] = salted.find(f"Microsoft.{kind}")
        assert before["name"] != after["name"]
        assert len(after["name"]) <= {"Storage/storageAccounts": 24, "KeyVault/vaults": 24}.get(kind, 32)
