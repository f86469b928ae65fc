"""Checkov, an outside check of what is deployed; each failure that stays has a reason."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import ROOT
from tests.infra.rules import ACCOUNT, FACE, PLAN, SECRETS, SITE, TOPIC, VAULT

# On one worker, so that checkov runs once.
pytestmark = pytest.mark.xdist_group("checkov")

_INSTALLED = ROOT / ".venv-checkov/bin/checkov"
_MISSING = (
    "checkov is not installed: run `make .venv-checkov/.ready`. It is large and has its own environment."
)
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_CONFIG = f"{SITE}/config"

_NOT_ISOLATED = "dev and azd are not isolated; prod is isolated, and passes"
_OTHER_TYPE = "the check is about properties of the site, which this child of it does not have"
_CAN_BE_DELETED = "purge protection would keep dev and azd from being deleted; prod has it, and passes"
ACCEPTED: Mapping[tuple[str, str], str] = {
    ("CKV_AZURE_17", SITE): "phones have no client certificates; they have tokens",
    ("CKV_AZURE_78", SITE): "it wants ftpsState, which Flex Consumption refuses; that plan has no FTP",
    ("CKV_AZURE_212", SITE): "it wants minimumElasticInstanceCount; Flex Consumption has alwaysReady",
    ("CKV_AZURE_213", SITE): "healthCheckPath is not documented for Flex Consumption; Front Door probes",
    ("CKV_AZURE_222", SITE): "phones call it from anywhere; behind Front Door only Front Door can call",
    ("CKV_AZURE_225", PLAN): "dev and azd have one instance in one zone; prod is zone-redundant, and passes",
    ("CKV_AZURE_35", ACCOUNT): _NOT_ISOLATED,
    ("CKV_AZURE_59", ACCOUNT): "`Disabled` would shut out dead letters of Event Grid; prod denies all others",
    ("CKV_AZURE_206", ACCOUNT): "it wants a copy in another region; biometric data stays in its region",
    **{(f"CKV_AZURE_{number}", _CONFIG): _OTHER_TYPE for number in (13, 63, 65, 66, 80, 88, 222)},
    ("CKV_AZURE_42", VAULT): _CAN_BE_DELETED,
    ("CKV_AZURE_110", VAULT): _CAN_BE_DELETED,
    ("CKV_AZURE_109", VAULT): _NOT_ISOLATED,
    ("CKV_AZURE_189", VAULT): _NOT_ISOLATED,
    ("CKV_AZURE_41", SECRETS): "an expired secret does not revoke a key of Face; the pepper must not expire",
    ("CKV_AZURE_134", FACE): "phones call Face themselves",
    ("CKV_AZURE_236", FACE): "the broker calls Face with a key by default; faceAuth `identity` has none",
    ("CKV_AZURE_238", FACE): "the account calls nothing, and so needs no identity",
    ("CKV_AZURE_193", TOPIC): _NOT_ISOLATED,
}
"""The failures that stay, by check and type of resource, and why."""


@pytest.fixture(scope="module")
def report(snapshots: Mapping[str, Snapshot], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The report of checkov. Without checkov the test is skipped, or fails in CI.

    Checkov neither looks into modules nor reads resources with symbolic names: it would find nothing in the compiled
    main template. A snapshot has every resource, with its values.
    """
    program = str(_INSTALLED) if _INSTALLED.exists() else shutil.which("checkov")
    if not program:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(_MISSING)
    folder = tmp_path_factory.mktemp("checkov")
    for name, snapshot in snapshots.items():
        (folder / f"{name}.json").write_text(json.dumps(_template(snapshot)), "utf-8")
    run = subprocess.run(  # noqa: S603 - the program is the one that was looked up.
        [program, "--directory", str(folder), "--framework", "arm", "--skip-download", "--output", "json"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    found: Mapping[str, Any] = json.loads(run.stdout)
    return found


def test_every_failure_is_accepted_for_a_reason(
    report: Mapping[str, Any], snapshots: Mapping[str, Snapshot]
) -> None:
    """A new failure needs a reason, and a reason without a failure must go.

    Checkov calls a file that it cannot read a success, so the resources are counted.
    """
    failed = {(one["check_id"], _kind(one)): one["check_name"] for one in report["results"]["failed_checks"]}

    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] == sum(len(found.resources) for found in snapshots.values())
    assert {key: name for key, name in failed.items() if key not in ACCEPTED} == {}
    assert {key: why for key, why in ACCEPTED.items() if key not in failed} == {}


def _template(snapshot: Snapshot) -> Mapping[str, object]:
    # Checkov takes resources with the same type and name for one resource: the alerts of each region, for example.
    times = Counter((resource["type"], resource["name"]) for resource in snapshot.resources)
    resources = [
        {**resource, "name": resource["id"]} if times[resource["type"], resource["name"]] > 1 else resource
        for resource in snapshot.resources
    ]
    return {"$schema": _SCHEMA, "contentVersion": "1.0.0.0", "resources": resources}


def _kind(finding: Mapping[str, Any]) -> str:
    # `Microsoft.Web/sites.NAME`: the first dot belongs to the type.
    return ".".join(finding["resource"].split(".")[:2])
