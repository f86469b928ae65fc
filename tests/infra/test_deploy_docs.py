"""`docs/deploy.md` names files, parameters, variables and commands that exist."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import INFRA, ROOT, Bicep, Compiled

PAGE = (ROOT / "docs/deploy.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    line.strip() for block in BLOCKS for line in block.replace("\\\n", " ").splitlines() if line.strip()
]
IN_LINE = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", PAGE)
_GROUP = "Microsoft.Resources/resourceGroups"
# Our own variables. The page writes placeholders for the reader in capitals too, without this prefix.
_VARIABLE = re.compile(r"\bBROKER_[A-Z_]+\b")


def test_every_file_that_is_named_exists() -> None:
    """Each path in text and commands is in the repository; scripts are called without an interpreter."""
    named = {
        path.rstrip(".,;")
        for text in (*COMMANDS, *IN_LINE)
        for path in re.findall(r"(?<![\w/:.-])((?:infra|scripts|docs|tests|shared|\.github)/[\w./-]+)", text)
    }

    assert {"infra/bicep/env/prod.bicepparam", "scripts/publish.sh", ".github/workflows/deploy.yml"} <= named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    assert all(os.access(ROOT / path, os.X_OK) for path in named if path.endswith(".sh"))


def test_all_parameters_are_described_and_no_others(bicep: Bicep) -> None:
    """The table has the parameters of the main template, in the same order."""
    section = PAGE[PAGE.index("## Parameters") : PAGE.index("A region: ")]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == bicep.parameters(INFRA / "main.bicep")


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [("regionType", "A region: ", "The broker: "), ("brokerType", "The broker: ", "`faceMaxTps` is the")],
)
def test_all_parts_of_a_parameter_are_named(
    templates: Mapping[str, Compiled], kind: str, start: str, end: str
) -> None:
    """The paragraph about a parameter names each of its properties."""
    properties = templates["types.bicep"].template["definitions"][kind]["properties"]
    paragraph = PAGE[PAGE.index(start) : PAGE.index(end)]

    assert set(properties) <= set(re.findall(r"`(\w+)`", paragraph))


def test_variables_are_read_by_something() -> None:
    """The page has exactly the variables that parameter files read and workflows set."""
    files = [*INFRA.rglob("*.bicepparam"), *(ROOT / ".github/workflows").glob("*.yml"), ROOT / "azure.yaml"]
    # BROKER_URL is an output of the template, which hooks of azd read.
    used = {name for path in files for name in _VARIABLE.findall(path.read_text("utf-8"))} - {"BROKER_URL"}

    assert set(_VARIABLE.findall(PAGE)) == used


def test_a_deployment_by_hand_sets_every_variable() -> None:
    """The command for production sets each variable that its parameter file reads."""
    [block] = [block for block in BLOCKS if "prod.bicepparam" in block]
    parameters = (INFRA / "env/prod.bicepparam").read_text("utf-8")

    assert set(_VARIABLE.findall(block)) == set(re.findall(r"readEnvironmentVariable\('(\w+)'", parameters))


@pytest.mark.parametrize("command", [line for line in COMMANDS if "-m scripts." in line])
def test_commands_have_the_options_that_are_shown(command: str) -> None:
    """Our own commands accept the options on the page."""
    found = re.search(r"-m (scripts\.\w+)", command)
    assert found is not None
    shown = subprocess.run(  # noqa: S603 - this Python.
        [sys.executable, "-m", found[1], "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert [option for option in re.findall(r"(--\w[\w-]*)", command) if option not in shown] == []


def test_outputs_have_the_names_on_the_page(templates: Mapping[str, Compiled]) -> None:
    """The page uses outputs of the main template."""
    definitions = templates["main.bicep"].template["definitions"]

    assert set(definitions["stampType"]["properties"]) >= {"resourceGroup", "functionAppName", "hostName"}
    assert all(f"`{name}`" in PAGE for name in ("resourceGroup", "functionAppName", "hostName"))
    assert "stamps" in templates["main.bicep"].template["outputs"]


def test_parameters_and_resource_groups_in_commands_exist(
    bicep: Bicep, snapshots: Mapping[str, Snapshot]
) -> None:
    """A command for the bootstrap template sets all its parameters, and names of resource groups are right."""
    bootstrap = next(line for line in COMMANDS if "bootstrap/main.bicep" in line)
    given = re.findall(r"(\w+)=\S+", bootstrap[bootstrap.index("--parameters") :])
    groups = {group for text in COMMANDS for group in re.findall(r"\brg-[\w-]+", text)}

    given += re.findall(r"(\w+)='", " ".join(IN_LINE))
    assert set(given) == set(bicep.parameters(INFRA / "bootstrap/main.bicep"))
    assert "rg-liveness-dev-weu" in groups
    assert {group.replace("CODE", "weu") for group in groups} <= _names(snapshots, _GROUP)


def test_the_names_to_delete_are_the_names_of_the_deployment(snapshots: Mapping[str, Snapshot]) -> None:
    """The commands that delete a region name the resources that were created for it."""
    kinds = {
        "--profile-name": "Microsoft.Cdn/profiles",
        "--endpoint-name": "Microsoft.Cdn/profiles/afdEndpoints",
        "--route-name": "Microsoft.Cdn/profiles/afdEndpoints/routes",
        "--origin-group-name": "Microsoft.Cdn/profiles/originGroups",
        "--origin-name": "Microsoft.Cdn/profiles/originGroups/origins",
    }
    given = [
        (option, name.replace("CODE", "weu"))
        for command in COMMANDS
        for option, name in re.findall(
            r"(--(?:profile|endpoint|route|origin-group|origin)-name) (\S+)", command
        )
    ]

    assert {option for option, _ in given} == set(kinds)
    assert [(option, name) for option, name in given if name not in _names(snapshots, kinds[option])] == []


def test_targets_of_make_exist() -> None:
    """Each target of `make` on the page exists."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

    assert {
        target for text in (*IN_LINE, *COMMANDS) for target in re.findall(r"\bmake ([a-z-]+)", text)
    } <= set(targets)


def _names(snapshots: Mapping[str, Snapshot], kind: str) -> set[str]:
    return {found["name"].split("/")[-1] for name in ("dev", "prod") for found in snapshots[name].find(kind)}
