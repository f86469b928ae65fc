"""An outside check of the project as a Functions app: `azure-functions-doctor`, for what is deployed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.repository import tracked
from tests.architecture.source_tree import NOT_DEPLOYED, ROOT

ACCEPTED = {
    "check_app_insights": "The connection string is an app setting that the Bicep sets, and no file of the project.",
    "check_binding_connection_resolution": "The connection is the host's own storage, reached with an identity.",
    "check_dev_storage_connection": "Azurite is in the example for a laptop, which is in no package.",
    "check_flex_runtime_config": "The Bicep names linuxFxVersion in a comment, which says that Flex refuses it.",
    "check_native_dependency_risk": "Deployments are built remotely, on the platform's own Linux.",
    "check_programming_model_v2": "It looks for objects named app or bp; ours are named after their packages.",
}
"""Warnings that are looked at and left, and why."""


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the doctor looked at in the repository, but for tests and tools with their made-up apps."""
    copy = tmp_path_factory.mktemp("repository")
    for path in tracked():
        if path.split("/")[0] not in NOT_DEPLOYED:
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, copy / path)
    return examined(copy)


def test_no_check_fails(items: list[dict[str, Any]]) -> None:
    """The doctor finds a v2 app that can be deployed."""
    passed = {item["rule_id"] for item in items if item["status"] == "pass"}

    assert [item for item in items if item["status"] == "fail"] == []
    assert passed >= {
        "check_azure_functions_library",
        "check_blueprint_registration",
        "check_extension_bundle_v4",
        "check_funcignore",
        "check_host_json",
        "check_host_json_version",
        "check_requirements_txt",
        "check_unpinned_requirements",
    }


def test_each_warning_has_a_reason(items: list[dict[str, Any]]) -> None:
    """A new warning is looked at before it is accepted."""
    assert {item["rule_id"] for item in items if item["status"] == "warn"} <= set(ACCEPTED)


def test_app_that_mixes_the_models_fails(tmp_path: Path) -> None:
    """The doctor sees what the host would drop without a word: a function.json beside function_app.py."""
    for name in ("function_app.py", "host.json", "requirements.txt"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    examined(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "function.json").write_text('{"bindings": []}')

    with pytest.raises(subprocess.CalledProcessError) as failure:
        examined(tmp_path)

    assert failure.value.returncode == 1


def examined(folder: Path) -> list[dict[str, Any]]:
    """The findings for the plan and the Python of a deployment; `CalledProcessError` where one of them is a failure."""
    doctor = Path(sys.executable).with_name("azure-functions-doctor")
    target = ["--hosting-plan", "flex-consumption", "--target-python", "3.13"]
    child = subprocess.run(  # noqa: S603 - a program of this environment.
        [doctor, "doctor", "--profile", "deploy", "--format", "json", *target, "--path", folder],
        capture_output=True,
        text=True,
        check=True,
    )
    return [item for section in json.loads(child.stdout)["results"] for item in section["items"]]
