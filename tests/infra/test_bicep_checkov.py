"""What checkov has to say, and why some of it is left as it is."""

from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.checkov_scan import SUMMARY, Scan, require_checkov, scan

_SITE = "Microsoft.Web/sites"
_CONFIG = "Microsoft.Web/sites/config"
_PLAN = "Microsoft.Web/serverfarms"
_ACCOUNT = "Microsoft.Storage/storageAccounts"
_VAULT = "Microsoft.KeyVault/vaults"
_SECRETS = "Microsoft.KeyVault/vaults/secrets"
_FACE = "Microsoft.CognitiveServices/accounts"
_TOPIC = "Microsoft.EventGrid/topics"

_NOT_ISOLATED = "dev and azd are not isolated; prod is, and passes"
_NOISE = "a check of the site's own properties, applied to this child of it, which has other ones"
# A check that fails on a type of resources, and why it may.
EXPLAINED: Mapping[tuple[str, str], str] = {
    ("CKV_AZURE_17", _SITE): "phones have no client certificates: they show tokens",
    (
        "CKV_AZURE_78",
        _SITE,
    ): "asks for ftpsState, which Flex Consumption refuses; there is no FTP on that plan",
    ("CKV_AZURE_212", _SITE): "asks for minimumElasticInstanceCount: Flex has alwaysReady in its place",
    (
        "CKV_AZURE_213",
        _SITE,
    ): "healthCheckPath is not documented for Flex; Front Door and the smoke test ask /api/health",
    ("CKV_AZURE_222", _SITE): "phones call it from anywhere; with Front Door only Front Door gets in",
    ("CKV_AZURE_225", _PLAN): "the others are one instance in one zone; prod is zone-redundant, and passes",
    ("CKV_AZURE_35", _ACCOUNT): _NOT_ISOLATED,
    (
        "CKV_AZURE_59",
        _ACCOUNT,
    ): "`Disabled` would shut out Event Grid's dead letters; where isolated the rest is denied",
    ("CKV_AZURE_206", _ACCOUNT): "asks for a copy in another region: biometric data stays in its own",
    ("CKV_AZURE_13", _CONFIG): _NOISE,
    ("CKV_AZURE_63", _CONFIG): _NOISE,
    ("CKV_AZURE_65", _CONFIG): _NOISE,
    ("CKV_AZURE_66", _CONFIG): _NOISE,
    ("CKV_AZURE_80", _CONFIG): _NOISE,
    ("CKV_AZURE_88", _CONFIG): _NOISE,
    ("CKV_AZURE_222", _CONFIG): _NOISE,
    (
        "CKV_AZURE_42",
        _VAULT,
    ): "dev and azd are thrown away, and cannot be with purge protection; prod has it, and passes",
    ("CKV_AZURE_110", _VAULT): "as above",
    ("CKV_AZURE_109", _VAULT): _NOT_ISOLATED,
    ("CKV_AZURE_189", _VAULT): _NOT_ISOLATED,
    ("CKV_AZURE_41", _SECRETS): "an end in the vault ends no key of Face; the pepper has to last",
    ("CKV_AZURE_134", _FACE): "phones call Face themselves",
    ("CKV_AZURE_236", _FACE): "keys are the design; with faceAuth `identity` they are off",
    ("CKV_AZURE_238", _FACE): "the account calls nobody, and so needs no identity",
    ("CKV_AZURE_193", _TOPIC): _NOT_ISOLATED,
}
# Microsoft's quickstart function-app-flex-managed-identities, the same three types, checkov 3.3.30.
_REFERENCE = "Microsoft's quickstart: 9 passed, 17 failed"


@pytest.fixture(scope="module")
def scanned(snapshots: Mapping[str, Snapshot], tmp_path_factory: pytest.TempPathFactory) -> Scan:
    return scan(require_checkov(), snapshots, tmp_path_factory.mktemp("checkov"))


def test_every_resource_is_looked_at(scanned: Scan, snapshots: Mapping[str, Snapshot]) -> None:
    """Nothing was left unparsed: checkov calls a file that it cannot read a success."""
    assert scanned.parsing_errors == 0
    assert scanned.resources == sum(len(snapshot.resources) for snapshot in snapshots.values())


def test_every_failure_is_explained(scanned: Scan) -> None:
    """What fails is known, with a reason for each check; what no longer fails is taken off the list."""
    failed = {
        (finding.check, finding.kind): finding.name for finding in scanned.findings if not finding.passed
    }

    assert {key: name for key, name in failed.items() if key not in EXPLAINED} == {}
    assert {key: why for key, why in EXPLAINED.items() if key not in failed} == {}


@pytest.mark.parametrize(("environment", "most"), [("dev", 9), ("prod", 7), ("azd", 9)])
def test_site_plan_and_storage_do_better_than_the_reference(
    scanned: Scan, snapshots: Mapping[str, Snapshot], pytestconfig: pytest.Config, environment: str, most: int
) -> None:
    """The part that can be compared with Microsoft's quickstart, region by region, stays as good as it is."""
    kinds, regions = (_SITE, _PLAN, _ACCOUNT), len(snapshots[environment].stamps())
    passed, failed = (
        scanned.count(environment, kinds, passed=outcome) // regions for outcome in (True, False)
    )
    pytestconfig.stash.setdefault(SUMMARY, []).append(
        f"checkov on site, plan and storage, {environment}: {passed} passed, {failed} failed ({_REFERENCE})"
    )

    assert passed > 9
    assert failed <= most
