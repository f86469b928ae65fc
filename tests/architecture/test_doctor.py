"""`azure-functions-doctor`, an outside check of the project as a Functions app."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.architecture.source_tree import ROOT, tracked

# These folders hold made-up apps, and are not deployed.
LEFT_OUT = ("benchmarks", "local", "ops", "scripts", "tests")
ACCEPTED = {
    "check_app_insights": "Bicep sets the connection string, so that no file of the project has it.",
    "check_binding_connection_resolution": "The connection is the host's own storage, used with an identity.",
    "check_dev_storage_connection": "Azurite is in the example of local settings, which is not deployed.",
    "check_flex_runtime_config": "Bicep names linuxFxVersion in a comment, which says that Flex refuses it.",
    "check_native_dependency_risk": "Packages are built for the platform's own Linux.",
    "check_programming_model_v2": "It looks for objects named app or bp; ours are named after their packages.",
}
"""The warnings that stay, and why."""


def test_no_check_fails_and_each_warning_has_a_reason(tmp_path: Path) -> None:
    """The doctor finds an app of the v2 model that can be deployed."""
    for path in tracked():
        if path.split("/")[0] not in LEFT_OUT:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, tmp_path / path)
    doctor = Path(sys.executable).with_name("azure-functions-doctor")
    target = ["--hosting-plan", "flex-consumption", "--target-python", "3.13"]
    child = subprocess.run(  # noqa: S603 - a program of this environment.
        [doctor, "doctor", "--profile", "deploy", "--format", "json", *target, "--path", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    items = [item for section in json.loads(child.stdout)["results"] for item in section["items"]]

    assert [item for item in items if item["status"] == "fail"] == []
    assert {item["rule_id"] for item in items if item["status"] == "warn"} <= set(ACCEPTED)
    assert {item["rule_id"] for item in items if item["status"] == "pass"} >= {"check_blueprint_registration"}
