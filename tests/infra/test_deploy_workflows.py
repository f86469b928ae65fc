"""The workflows under `.github/`, `azure.yaml` and `scripts/publish.sh`."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.command_line import parse
from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import INFRA, ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
DEPLOY = (ROOT / ".github/workflows/deploy.yml").read_text("utf-8")


@pytest.mark.parametrize(
    "command",
    [
        "zizmor --offline --quiet --config .github/zizmor.yml .github/workflows",
        "check-jsonschema --builtin-schema vendor.github-workflows",
    ],
)
def test_outside_checks_find_nothing(command: str) -> None:
    """No workflow runs a stranger's code, keeps a token longer than needed, or cannot be read by GitHub."""
    paths = [str(path) for path in WORKFLOWS] if command.startswith("check") else []
    run = _run(*command.split(), *paths)

    assert run.returncode == 0, run.stdout + run.stderr


def test_the_rings_are_the_regions_of_production(snapshots: Mapping[str, Snapshot]) -> None:
    """Each region of the parameter file is deployed once, in the same order, and under its own name."""
    groups = {
        group["name"].split("-")[-1]: group["location"]
        for group in snapshots["prod"].find("Microsoft.Resources/resourceGroups")
        if not group["name"].endswith("-global")
    }
    prod = DEPLOY[DEPLOY.index("prod-first:") :]

    assert re.findall(r"code: (\w+)\n +location: (\w+)", prod) == list(groups.items())


def test_what_if_has_the_variables_of_a_deployment() -> None:
    """A variable that one of them lacks would appear as a change, or fail."""
    asked = {
        name
        for path in INFRA.rglob("*.bicepparam")
        for name in re.findall(r"readEnvironmentVariable\('(BROKER_\w+)'", path.read_text("utf-8"))
    }
    region, ci = (
        set(
            re.findall(
                r"^ +(BROKER_\w+): ", (ROOT / f".github/workflows/{name}.yml").read_text("utf-8"), re.M
            )
        )
        for name in ("region", "ci")
    )

    assert region == asked
    # What-if compares all regions, and not one ring.
    assert ci == asked - {"BROKER_REGIONS"}


def test_each_ring_waits_for_the_ring_before() -> None:
    """A package passes the tests before it is deployed, and never reaches all regions at once."""
    order = re.findall(r"^  ([a-z-]+):\n(?:.*\n)??    needs: ([a-z-]+)$", DEPLOY, re.MULTILINE)

    assert order == [
        ("package", "test"),
        ("dev", "package"),
        ("prod-first", "dev"),
        ("prod-rest", "prod-first"),
    ]
    assert "max-parallel: 1" in DEPLOY


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("uses: ./.github/workflows/test.yml", {"ci.yml": 1, "deploy.yml": 1}),
        ("run: make test", {"test.yml": 1}),
        ("scripts.package", {"deploy.yml": 1}),
    ],
)
def test_tests_are_shared_and_the_package_is_built_once(text: str, users: Mapping[str, int]) -> None:
    """Pull requests and deployments pass the same tests, and every region gets the same package."""
    counts = {path.name: path.read_text("utf-8").count(text) for path in WORKFLOWS}

    assert {name: count for name, count in counts.items() if count} == users


def test_each_job_has_an_identity_for_its_environment() -> None:
    """The bootstrap template creates exactly the identities that the jobs sign in with."""
    bootstrap = (INFRA / "bootstrap/main.bicep").read_text("utf-8")
    lists = re.findall(r"^param (?:environments|lookingEnvironments) .* = \[(.+)\]$", bootstrap, re.MULTILINE)
    ci = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    compared = {f"what-if-{name}" for name in re.findall(r"- environment: (\w+)", ci)}

    assert "environment: what-if-${{ matrix.environment }}" in ci
    assert set(re.findall(r"'([a-z-]+)'", " ".join(lists))) == {
        *re.findall(r"ring: ([a-z-]+)", DEPLOY),
        *compared,
    }


def test_all_workflows_use_one_version_of_the_compiler() -> None:
    """The tests use the version that deploys."""
    versions = {
        version
        for path in WORKFLOWS
        for version in re.findall("BICEP_VERSION: (v.+)", path.read_text("utf-8"))
    }

    assert versions == {"v0.49.2"}


def test_the_smoke_test_waits_long_enough_for_front_door() -> None:
    """A change of Front Door takes up to 40 minutes; the job has an hour for the rest."""
    region = (ROOT / ".github/workflows/region.yml").read_text("utf-8")
    wait = re.search(r"\*\.azurefd\.net\) wait=(\d+)", region)
    timeout = re.search(r"timeout-minutes: (\d+)", region)

    assert wait is not None
    assert timeout is not None
    assert int(wait[1]) > 40 * 60
    assert int(timeout[1]) * 60 > int(wait[1]) + 60 * 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_failure_before_a_pipe_fails_the_step(path: Path) -> None:
    """With `shell: bash` GitHub sets `pipefail`; with its default shell only the last command counts."""
    text = path.read_text("utf-8")

    if re.search(r"^ +(- )?run:", text, re.MULTILINE):
        assert "\ndefaults:\n  run:\n    shell: bash\n" in text


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "azure.yaml"], ids=lambda path: path.name)
def test_files_that_a_workflow_names_exist(path: Path) -> None:
    """Scripts, modules and other workflows exist, and scripts are executable."""
    text = path.read_text("utf-8")

    for module in re.findall(r"-m (scripts\.\w+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module
    for words in re.findall(r"-m ops (.+)", text):
        filled = words.replace("$ENVIRONMENT", "dev").replace("$wait", "300").replace("$@", "--anonymous")
        assert parse(shlex.split(filled)).noun in {"preflight", "smoke"}, words
    for script in re.findall(r"scripts/\w+\.sh", text):
        assert os.access(ROOT / script, os.X_OK), script
    for workflow in re.findall(r"uses: \./(\S+)", text):
        assert (ROOT / workflow).exists(), workflow


def test_azd_finds_the_template() -> None:
    """`azure.yaml` names a template that has a parameter file beside it."""
    text = (ROOT / "azure.yaml").read_text("utf-8")
    found = re.search(r"path: (\S+)\n +module: (\S+)", text)

    assert found is not None
    assert (ROOT / found[1] / f"{found[2]}.bicep").exists()
    assert (ROOT / found[1] / f"{found[2]}.bicepparam").exists()


@pytest.mark.parametrize(("attempts", "status"), [(3, 0), (20, 0), (21, 1)])
def test_publishing_is_retried(tmp_path: Path, attempts: int, status: int) -> None:
    """Azure refuses while it does not know a new role yet. After twenty attempts the error names the app."""
    run = _publish(tmp_path, f'echo "$@" >> "$0.log"\n[ "$(wc -l < "$0.log")" -ge {attempts} ]')
    calls = (tmp_path / "az.log").read_text("utf-8").splitlines()
    options = "--resource-group a-group --name an-app --src a.zip --build-remote false"

    assert (run.returncode, len(calls)) == (status, min(attempts, 20))
    assert all(options in line for line in calls)
    assert ("could not be published to an-app" in run.stderr) is (status == 1)


@pytest.mark.parametrize("missing", range(3))
def test_publishing_without_a_name_is_refused_at_once(tmp_path: Path, missing: int) -> None:
    """A deployment that printed no name must not retry for ten minutes."""
    arguments = ["a-group", "an-app", "a.zip"]
    arguments[missing] = ""
    run = _publish(tmp_path, 'touch "$0.called"', *arguments)

    assert run.returncode != 0
    assert "is missing" in run.stderr
    assert not (tmp_path / "az.called").exists()


def _publish(folder: Path, az: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script with a stand-in for the Azure CLI."""
    (folder / "az").write_text(f"#!/bin/sh\n{az}\n", "utf-8")
    (folder / "az").chmod(0o755)
    return subprocess.run(  # noqa: S603 - a script of this repository.
        [str(ROOT / "scripts/publish.sh"), *(arguments or ("a-group", "an-app", "a.zip"))],
        env={"PATH": f"{folder}:/usr/bin:/bin", "PAUSE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            f"{program} is not installed: see requirements-dev.txt."
        )
    return subprocess.run(  # noqa: S603 - the program that was looked up.
        [found, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
