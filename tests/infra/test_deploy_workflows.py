"""The workflows under `.github/` and `azure.yaml`."""

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ops.command_line import parse
from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import INFRA, ROOT

WORKFLOWS = {path.stem: path.read_text("utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")}
DEPLOY, REGION, CI, SMOKE = (WORKFLOWS[name] for name in ("deploy", "region", "ci", "smoke"))
PAGE = (ROOT / "docs/deploy.md").read_text("utf-8")
AZD = (ROOT / "azure.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    "command",
    [
        "zizmor --offline --quiet --config .github/zizmor.yml .github",
        f"check-jsonschema --builtin-schema vendor.github-workflows {' '.join(WORKFLOWS)}",
        "check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml",
    ],
)
def test_outside_checks_find_nothing(command: str) -> None:
    """No workflow runs a stranger's code, keeps a token longer than needed, or cannot be read by GitHub."""
    program, *arguments = (
        f".github/workflows/{word}.yml" if word in WORKFLOWS else word for word in command.split()
    )
    run = subprocess.run(  # noqa: S603 - a program of this environment.
        [Path(sys.executable).with_name(program), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_the_rings_are_the_regions_of_production(snapshots: Mapping[str, Snapshot]) -> None:
    """Each region of the parameter file is deployed once, in the same order, and under its own name."""
    prod = DEPLOY[DEPLOY.index("prod-first:") :]
    groups = {
        group["name"].split("-")[-1]: group["location"]
        for group in snapshots["prod"].find("Microsoft.Resources/resourceGroups")
        if not group["name"].endswith("-global")
    }

    assert re.findall(r"code: (\w+)\n +location: (\w+)", prod) == list(groups.items())


def test_what_if_has_the_variables_of_a_deployment() -> None:
    """A variable that one of them lacks would appear as a change, or fail."""
    parameters = " ".join(path.read_text("utf-8") for path in INFRA.rglob("*.bicepparam"))
    asked = set(re.findall(r"readEnvironmentVariable\('(BROKER_\w+)'", parameters))
    region, ci = (set(re.findall(r"^ +(BROKER_\w+): ", text, re.MULTILINE)) for text in (REGION, CI))

    assert region == asked
    # What-if compares all regions, and not one ring.
    assert ci == asked - {"BROKER_REGIONS"}


def test_each_ring_waits_for_the_ring_before() -> None:
    """A package passes the tests before it is deployed, and never reaches all regions at once."""
    order = re.findall(r"^  ([a-z-]+):\n(?:.*\n)??    needs: ([a-z-]+)$", DEPLOY, re.MULTILINE)

    assert [f"{before} {job}" for job, before in order] == [
        "test attest",
        "attest dev",
        "dev prod-first",
        "prod-first prod-rest",
    ]
    assert "max-parallel: 1" in DEPLOY


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("uses: ./.github/workflows/test.yml", ["ci", "deploy"]),
        ("run: make test PYTHON", ["test"]),
        # Dependencies are resolved where the package is built, and never after the tests.
        ("scripts.package", ["test"]),
        ("upload-artifact@", ["test"]),
        ("run: make test-package", ["test"]),
        ("download-artifact@", ["deploy", "region", "test"]),
        ("dist/broker.zip --wait", ["region"]),
        ("make audit", ["ci"]),
        ("make sbom", ["test"]),
    ],
)
def test_tests_are_shared_and_the_package_is_built_once(text: str, users: list[str]) -> None:
    """Pull requests and deployments pass the same tests, and every region gets the package that passed them."""
    assert sorted(name for name, content in WORKFLOWS.items() for _ in range(content.count(text))) == users


def test_a_region_takes_the_package_with_the_signature_of_the_workflow_alone() -> None:
    """It is checked before anybody signs in to Azure."""
    steps = ("attestation verify dist/broker.zip", "azure/login", 'publish "$group"')
    places = [REGION.index(text) for text in steps]

    assert places == sorted(places)
    # Any workflow of the repository may sign: only the one that builds the package on the main branch counts.
    signer = '--signer-workflow "$GITHUB_REPOSITORY/.github/workflows/deploy.yml"'
    assert f'dist/broker.zip --repo "$GITHUB_REPOSITORY" \\\n            {signer}\n' in REGION
    assert "--signer-workflow OWNER/REPOSITORY/.github/workflows/deploy.yml" in PAGE
    assert DEPLOY.count("uses: actions/attest@") == 2


def test_each_job_has_an_identity_for_its_environment() -> None:
    """The bootstrap template creates exactly the identities that the jobs sign in with."""
    bootstrap = (INFRA / "bootstrap/main.bicep").read_text("utf-8")
    lists = re.findall(r"^param \w*[eE]nvironments .* = \[(.+)\]$", bootstrap, re.MULTILINE)
    compared = {f"what-if-{name}" for name in re.findall(r"- environment: (\w+)", CI)}
    deployed = set(re.findall(r"ring: ([a-z-]+)", DEPLOY))

    assert "environment: what-if-${{ matrix.environment }}" in CI
    assert "environment: smoke\n" in SMOKE
    assert set(re.findall(r"'([a-z-]+)'", " ".join(lists))) == {*deployed, *compared, "smoke"}


def test_all_workflows_use_one_version_of_the_compiler() -> None:
    """The tests use the version that deploys."""
    assert set(re.findall("BICEP_VERSION: (v.+)", "\n".join(WORKFLOWS.values()))) == {"v0.49.2"}


def test_the_smoke_test_waits_long_enough_for_front_door() -> None:
    """A change of Front Door takes up to 40 minutes, in any cloud; the job has an hour for the rest."""
    [seconds] = re.findall(r"\*\.azurefd\.\*\) wait=(\d+)", REGION)
    [minutes] = re.findall(r"timeout-minutes: (\d+)", REGION)

    assert 40 * 60 < int(seconds) < (int(minutes) - 60) * 60


@pytest.mark.parametrize(
    ("environment", "host", "words"),
    [
        ("dev", "func-dev-weu.azurewebsites.net", "--wait 300 --anonymous, no token"),
        ("prod", "func-prod-weu.azurewebsites.net", "--wait 300, a-token"),
        ("prod", "liveness-prod-weu-abc.z01.azurefd.net", "--wait 2700, a-token"),
        ("prod", "liveness-prod-weu-abc.z01.azurefd.us", "--wait 2700, a-token"),
    ],
)
def test_a_region_is_asked_until_new_roles_are_effective(
    tmp_path: Path, environment: str, host: str, words: str
) -> None:
    """It demands the release; in production it signs in, for the registration."""
    programs = {"jq": f"echo {host}", "az": _AZ_TOKEN, "python3": _PYTHON}

    assert run_step("Smoke test", tmp_path, programs, ENVIRONMENT=environment) == 0
    asked = f"-m ops smoke https://{host} --release dist/broker.zip {words}"
    assert (tmp_path / "asked").read_text("utf-8").splitlines() == [asked]


def test_each_address_is_asked_every_hour_and_a_failure_of_one_is_told(tmp_path: Path) -> None:
    """One minute is enough for Face to have room for the calls again; a region that fails hides no other."""
    programs = {"az": _AZ_TOKEN, "python3": f"{_PYTHON}; case $4 in *weu*) exit 1 ;; esac"}
    urls = ["https://weu.example.com", "https://neu.example.com"]

    step = "Ask each region"
    status = run_step(step, tmp_path, programs, workflow=SMOKE, BROKER_URLS=" ".join(urls))
    assert status == 1
    asked = [f"-m ops smoke {url} --wait 60, a-token" for url in urls]
    assert (tmp_path / "asked").read_text("utf-8").splitlines() == asked
    assert run_step(step, tmp_path, programs, workflow=SMOKE, BROKER_URLS=urls[1]) == 0


_AZ_TOKEN = 'case "$*" in *"--resource api://a-registration "*) echo a-token ;; esac'
_PYTHON = 'echo "$*, ${BROKER_TOKEN:-no token}" >> asked'


def run_step(
    name: str,
    folder: Path,
    programs: Mapping[str, str],
    *,
    workflow: str = REGION,
    **variables: str,
) -> int:
    """Run a step of a workflow as GitHub does, with programs of its own in a folder, and return its status."""
    [text] = re.findall(
        rf"- name: {name}\n(?:        if: .+\n)?        run: \|\n((?: {{10}}.+\n?)+)", workflow
    )
    shell = ("/bin/bash", "-e", "-o", "pipefail", "-c", text)
    return run(shell, folder, programs, PATH=f"{folder}:/usr/bin:/bin", **variables)


def run(shell: Sequence[str], folder: Path, programs: Mapping[str, str], **variables: str) -> int:
    """Run commands in a folder, with programs of its own, and return their status."""
    for program, content in programs.items():
        (folder / program).write_text(f"#!/bin/sh\n{content}\n", "utf-8")
        (folder / program).chmod(0o700)
    environment = {"BROKER_AUTH_CLIENT_ID": "a-registration", **variables}
    return subprocess.run(shell, cwd=folder, env=environment, check=False).returncode  # noqa: S603 - our own.


@pytest.mark.parametrize("made", [None, ""], ids=["no deployment began", "the deployment failed"])
def test_nothing_is_closed_where_nothing_was_deployed(tmp_path: Path, made: str | None) -> None:
    """The step runs whatever failed before it, and a second failure would hide the first."""
    if made is not None:
        (tmp_path / "stamp.json").write_text(made, "utf-8")

    assert run_step("Close the SCM site again", tmp_path, {"az": "exit 1", "jq": "exit 1"}) == 0


@pytest.mark.parametrize(
    ("answer", "rules", "called"),
    [
        (
            "HTTP/2 403\r\nX-MS-Forbidden-IP: 192.0.2.7\r\n",
            "pipeline",
            ["add 192.0.2.7/32", "show", "remove"],
        ),
        ("HTTP/2 401\r\nserver: Kestrel\r\n", "Allow all", ["show"]),
    ],
)
def test_a_runner_that_the_scm_site_refuses_is_admitted_while_it_publishes(
    tmp_path: Path, answer: str, rules: str, called: list[str]
) -> None:
    """The steps are run with programs in the place of curl and az, which answer as App Service does."""
    calls = tmp_path / "calls"
    programs = {
        # The name of a new site is not known at once: curl says so with 6, and repeats if it is told to.
        "curl": f'case "$*" in *--retry-all-errors*) printf %s {shlex.quote(answer)} ;; *) exit 6 ;; esac',
        "az": f'echo "$@" >> {calls}; case "$*" in *" show "*) echo {shlex.quote(rules)} ;; esac',
        "jq": "echo from-stamp",
    }
    (tmp_path / "stamp.json").write_text("{}", "utf-8")
    for step in ("Admit this runner to the SCM site", "Close the SCM site again"):
        assert run_step(step, tmp_path, programs) == 0

    assert 'ops publish "$group" "$app" dist/broker.zip --admitted' in REGION
    options = "access-restriction (\\w+) .*?(?:--ip-address (\\S+) .*)?--output"
    assert [" ".join(found).strip() for found in re.findall(options, calls.read_text("utf-8"))] == called


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_failure_before_a_pipe_fails_the_step(name: str) -> None:
    """With `shell: bash` GitHub sets `pipefail`; with its default shell only the last command counts."""
    runs = re.search(r"^ +(- )?run:", WORKFLOWS[name], re.MULTILINE)

    assert runs is None or "\ndefaults:\n  run:\n    shell: bash\n" in WORKFLOWS[name]


def test_files_and_commands_that_a_workflow_names_exist() -> None:
    """Modules and other workflows exist, and azd's template has its parameters."""
    text = "\n".join([*WORKFLOWS.values(), AZD])
    modules = {f"{name.replace('.', '/')}.py" for name in re.findall(r"-m (scripts\.\w+)", text)}
    [(folder, module)] = re.findall(r"path: (\S+)\n +module: (\S+)", AZD)
    templates = {f"{folder}/{module}.bicep", f"{folder}/{module}.bicepparam"}
    files = modules | templates | set(re.findall(r"uses: \./(\S+)", text))

    assert "scripts/package.py" in files
    assert [path for path in sorted(files) if not (ROOT / path).exists()] == []
    for words in re.findall(r"-m ops (.+)", text):
        filled = words.replace("$ENVIRONMENT", "dev").replace("$wait", "300").replace("$@", "--anonymous")
        filled = re.sub(r"\$(env:)?(\w+)", r"\2", filled)
        assert parse(shlex.split(filled)).noun in {"preflight", "publish", "smoke"}, words


PUBLISH = "-m ops publish a-group an-app dist/broker.zip --subscription a-subscription"
HOOKS = dict(
    re.findall(
        r"^  (\w+):\n(?:.+\n)+?    posix:\n      shell: sh\n      run: ((?:.+\n?)(?:       .+\n?)*)",
        AZD,
        re.MULTILINE,
    )
)


@pytest.mark.parametrize(
    ("hook", "fails", "commands"),
    [
        ("preprovision", "none", ["-m ops preflight azd"]),
        ("predeploy", "none", ["-m scripts.package", PUBLISH]),
        ("predeploy", "scripts.package", ["-m scripts.package"]),
        (
            "postdeploy",
            "none",
            ["-m ops smoke https://a-host --anonymous --release dist/broker.zip --wait 300"],
        ),
    ],
)
def test_azd_publishes_as_the_pipeline_does(
    hook: str, fails: str, commands: list[str], tmp_path: Path
) -> None:
    """It builds a package, waits for new roles, and demands that release; azd's own publishing does neither."""
    programs = {"python3.13": f'echo "$*" >> asked; [ "$2" != {fails} ]'}
    variables = {
        "PATH": str(tmp_path),
        "AZURE_SUBSCRIPTION_ID": "a-subscription",
        "BROKER_FUNCTION_APP": "an-app",
        "BROKER_RESOURCE_GROUP": "a-group",
        "BROKER_URL": "https://a-host",
    }

    status = run(("/bin/sh", "-c", HOOKS[hook].removeprefix("|\n")), tmp_path, programs, **variables)

    assert (tmp_path / "asked").read_text("utf-8").splitlines() == commands
    assert (status == 0) is (fails == "none")


def test_hooks_of_azd_read_outputs_of_the_template(snapshots: Mapping[str, Snapshot]) -> None:
    """A variable of another name would be empty. There is no service, which azd would publish itself."""
    assert set(re.findall(r"BROKER_\w+", AZD)) <= set(snapshots["azd"].outputs)
    assert "services:" not in AZD


def test_each_environment_with_an_identity_that_acts_is_open_to_the_main_branch_alone() -> None:
    """Else anybody with push rights could sign in as it: the pages say so for each environment, beside its commands."""
    pages = [(ROOT / "docs" / name).read_text("utf-8") for name in ("deploy.md", "operations.md")]
    sentences = re.findall(
        r"Let ([^.]+?)\s+be\s+deployed\s+to\s+from\s+(?:the branch )?`main` alone", "".join(pages)
    )
    closed = set(re.findall(r"`([a-z-]+)`", " ".join(sentences)))

    assert closed == set(re.findall(r"ring: ([a-z-]+)", DEPLOY)) | {"smoke"}
