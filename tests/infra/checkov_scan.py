"""checkov over what is deployed: an outside opinion on how it is set up."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import ROOT

SUMMARY = pytest.StashKey[list[str]]()
"""What is printed when the run has ended: a comparison is no failure, and has to be seen all the same."""

_INSTALLED = ROOT / ".venv-checkov/bin/checkov"
_MISSING = "checkov is not installed: run `make .venv-checkov/.ready`; it has an environment of its own, being large."
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says about one resource."""

    environment: str
    check: str
    name: str
    kind: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """All findings, and how much was looked at."""

    findings: tuple[Finding, ...]
    resources: int
    parsing_errors: int

    def count(self, environment: str, kinds: Iterable[str], *, passed: bool) -> int:
        """How many findings there are about some types of resources."""
        return sum(
            finding.environment == environment and finding.kind in kinds and finding.passed is passed
            for finding in self.findings
        )


def require_checkov() -> str:
    """Find checkov; skips the test where there is none, and fails it in CI."""
    found = str(_INSTALLED) if _INSTALLED.exists() else shutil.which("checkov")
    if not found:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(_MISSING)
    return found


def scan(program: str, snapshots: Mapping[str, Snapshot], folder: Path) -> Scan:
    """Let checkov read the snapshots as templates.

    It does not see into modules, nor read resources with symbolic names: of the compiled main template it looks at
    nothing, and finds nothing. In a snapshot every resource is written out, with its values.
    """
    for name, snapshot in snapshots.items():
        (folder / f"{name}.json").write_text(json.dumps(_template(snapshot)), "utf-8")
    run = subprocess.run(  # noqa: S603 - the program is the one that was looked up.
        [program, "--directory", str(folder), "--framework", "arm", "--skip-download", "--output", "json"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    return _read(json.loads(run.stdout))


def _template(snapshot: Snapshot) -> Mapping[str, object]:
    # checkov takes resources of the same type and name for one, wherever they are: alerts of each region.
    times = Counter((resource["type"], resource["name"]) for resource in snapshot.resources)
    resources = [
        {**resource, "name": resource["id"]} if times[resource["type"], resource["name"]] > 1 else resource
        for resource in snapshot.resources
    ]
    return {"$schema": _SCHEMA, "contentVersion": "1.0.0.0", "resources": resources}


def _read(report: Mapping[str, Any]) -> Scan:
    results, summary = report["results"], report["summary"]
    found = [(one, True) for one in results["passed_checks"]] + [
        (one, False) for one in results["failed_checks"]
    ]
    findings = tuple(
        Finding(
            Path(one["file_path"]).stem, one["check_id"], one["check_name"], _kind(one["resource"]), passed
        )
        for one, passed in found
    )
    return Scan(findings, summary["resource_count"], summary["parsing_errors"])


def _kind(resource: str) -> str:
    # `Microsoft.Web/sites.NAME`: the first dot belongs to the type.
    return ".".join(resource.split(".")[:2])
