"""The pipelines."""

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


def test_zizmor_finds_nothing() -> None:
    """No workflow lets a stranger run code, keeps a token for longer than needed, or trusts a name that can move."""
    run = _run("zizmor", "--offline", "--quiet", "--config", ".github/zizmor.yml", ".github/workflows")

    assert run.returncode == 0, run.stdout + run.stderr


def test_workflows_are_what_github_understands() -> None:
    """Each file fits the schema of workflows."""
    paths = [str(path) for path in WORKFLOWS]
    run = _run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *paths)

    assert run.returncode == 0, run.stdout + run.stderr


def test_the_rings_are_the_regions_of_production(snapshots: Mapping[str, Snapshot]) -> None:
    """Each region of the parameter file is deployed once, the first one first, and under its own name."""
    groups = {
        group["name"].split("-")[-1]: group["location"]
        for group in snapshots["prod"].find("Microsoft.Resources/resourceGroups")
        if not group["name"].endswith("-global")
    }
    prod = DEPLOY[DEPLOY.index("prod-first:") :]

    assert re.findall(r"code: (\w+)\n +location: (\w+)", prod) == list(groups.items())


def test_what_if_knows_what_a_deployment_knows() -> None:
    """A variable that one has and the other has not would show as a change, or fail."""
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
    # Not the rings: what changes is looked at for all regions.
    assert ci == asked - {"BROKER_REGIONS"}


def test_each_ring_waits_for_the_one_before() -> None:
    """Nothing is deployed that has not passed the tests, nor reaches all regions at once."""
    order = re.findall(r"^  ([a-z-]+):\n(?:.*\n)??    needs: ([a-z-]+)$", DEPLOY, re.MULTILINE)

    assert order == [
        ("package", "test"),
        ("dev", "package"),
        ("prod-first", "dev"),
        ("prod-rest", "prod-first"),
    ]
    assert "max-parallel: 1" in DEPLOY


def test_pull_requests_and_deployments_pass_the_same_tests() -> None:
    """All of them, in one workflow that both call."""
    callers = {
        path.name for path in WORKFLOWS if "uses: ./.github/workflows/test.yml" in path.read_text("utf-8")
    }

    assert callers == {"ci.yml", "deploy.yml"}
    assert "run: make test" in (ROOT / ".github/workflows/test.yml").read_text("utf-8")


def test_the_package_is_built_once() -> None:
    """Every region gets the same package: no job but the first builds one."""
    built = [path.name for path in WORKFLOWS if "scripts.package" in path.read_text("utf-8")]

    assert built == ["deploy.yml"]
    assert DEPLOY.count("scripts.package") == 1


def test_identities_belong_to_the_environments_that_jobs_run_in() -> None:
    """Whatever signs in has an identity that the bootstrap template makes for its environment, and no other is made."""
    bootstrap = (INFRA / "bootstrap/main.bicep").read_text("utf-8")
    lists = re.findall(r"^param (?:environments|lookingEnvironments) .* = \[(.+)\]$", bootstrap, re.MULTILINE)
    ci = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    compared = {f"what-if-{name}" for name in re.findall(r"- environment: (\w+)", ci)}

    assert "environment: what-if-${{ matrix.environment }}" in ci
    assert set(re.findall(r"'([a-z-]+)'", " ".join(lists))) == {
        *re.findall(r"ring: ([a-z-]+)", DEPLOY),
        *compared,
    }


def test_one_version_of_the_compiler() -> None:
    """What was tested is what is deployed with."""
    versions = {
        version
        for path in WORKFLOWS
        for version in re.findall("BICEP_VERSION: (v.+)", path.read_text("utf-8"))
    }

    assert versions == {"v0.49.2"}


def test_the_smoke_test_outwaits_front_door() -> None:
    """A change of Front Door takes up to 40 minutes to be everywhere; the job has time for that, and for the rest."""
    region = (ROOT / ".github/workflows/region.yml").read_text("utf-8")
    wait = re.search(r"\*\.azurefd\.net\) wait=(\d+)", region)
    timeout = re.search(r"timeout-minutes: (\d+)", region)

    assert wait is not None
    assert timeout is not None
    assert int(wait[1]) > 40 * 60
    assert int(timeout[1]) * 60 > int(wait[1]) + 60 * 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_fails_before_a_pipe_fails_its_step(path: Path) -> None:
    """GitHub's own shell looks at the last command of a pipe alone; `bash`, where it is named, at every one."""
    text = path.read_text("utf-8")

    if re.search(r"^ +(- )?run:", text, re.MULTILINE):
        assert "\ndefaults:\n  run:\n    shell: bash\n" in text


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "azure.yaml"], ids=lambda path: path.name)
def test_what_is_called_exists(path: Path) -> None:
    """Scripts, modules and parameter files that a pipeline names are there."""
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
    """Azd is sent to the folder with the template and the parameters that are meant for it."""
    text = (ROOT / "azure.yaml").read_text("utf-8")
    found = re.search(r"path: (\S+)\n +module: (\S+)", text)

    assert found is not None
    assert (ROOT / found[1] / f"{found[2]}.bicep").exists()
    assert (ROOT / found[1] / f"{found[2]}.bicepparam").exists()


def test_publishing_is_tried_again(tmp_path: Path) -> None:
    """A refusal because a role is not known yet does not end a roll-out; one that lasts does."""
    az = tmp_path / "az"
    az.write_text('#!/bin/sh\necho "$@" >> "$0.log"\n[ "$(wc -l < "$0.log")" -ge 3 ]\n', "utf-8")
    az.chmod(0o755)
    run = subprocess.run(  # noqa: S603 - a script of this repository.
        [str(ROOT / "scripts/publish.sh"), "a-group", "an-app", "a.zip"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PAUSE": "0"},
        check=False,
    )
    asked = (tmp_path / "az.log").read_text("utf-8").splitlines()

    assert run.returncode == 0
    assert len(asked) == 3
    assert all(
        "--resource-group a-group --name an-app --src a.zip --build-remote false" in line for line in asked
    )


@pytest.mark.parametrize("missing", range(3))
def test_publishing_to_nowhere_is_refused_at_once(tmp_path: Path, missing: int) -> None:
    """Where the deployment printed nothing, Azure is not asked for ten minutes about an app without a name."""
    (tmp_path / "az").write_text('#!/bin/sh\ntouch "$0.asked"\n', "utf-8")
    (tmp_path / "az").chmod(0o755)
    arguments = ["a-group", "an-app", "a.zip"]
    arguments[missing] = ""
    run = subprocess.run(  # noqa: S603 - a script of this repository.
        [str(ROOT / "scripts/publish.sh"), *arguments],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PAUSE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode != 0
    assert "is missing" in run.stderr
    assert not (tmp_path / "az.asked").exists()


def test_publishing_ends_some_time(tmp_path: Path) -> None:
    """What never works is a failure, and is said."""
    (tmp_path / "az").write_text("#!/bin/sh\nexit 1\n", "utf-8")
    (tmp_path / "az").chmod(0o755)
    run = subprocess.run(  # noqa: S603 - a script of this repository.
        [str(ROOT / "scripts/publish.sh"), "a-group", "an-app", "a.zip"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PAUSE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    assert "could not be published to an-app" in run.stderr


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            f"{program} is not installed: see requirements-dev.txt."
        )
    return subprocess.run(  # noqa: S603 - the program that was looked up.
        [found, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
