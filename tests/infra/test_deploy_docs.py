"""The pages about deployment name files, parameters, variables and commands that exist."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import INFRA, ROOT, Bicep, Compiled

DOCS = ROOT / "docs"
PAGE = "\n".join((DOCS / name).read_text("utf-8") for name in ("deploy.md", "deploy-more.md"))
COSTS = re.findall(
    r"^\| (.+?) \| ([^|]*\$[^|]*) \|(.*) \|$", (DOCS / "costs.md").read_text("utf-8"), re.MULTILINE
)
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line.strip() for line in "".join(BLOCKS).replace("\\\n", " ").splitlines() if line.strip()]
IN_LINE = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", PAGE)
CODE = "\n".join([*COMMANDS, *IN_LINE])
WORKFLOWS = [*(ROOT / ".github/workflows").glob("*.yml")]
# Our own variables. The page writes placeholders for the reader in capitals too, without this prefix.
_VARIABLE = re.compile(r"\bBROKER_[A-Z_]+\b")


def test_files_and_targets_of_make_exist() -> None:
    """Each path in text and commands is in the repository; scripts are called without an interpreter."""
    path = r"(?<![\w/:.-])((?:infra|scripts|docs|tests|shared|\.github)/[\w./-]+)"
    named = {found.rstrip(".,;") for found in re.findall(path, CODE)}
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

    assert {
        "infra/bicep/env/prod.bicepparam",
        "scripts/snapshots.sh",
        ".github/workflows/deploy.yml",
    } <= named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    assert all(os.access(ROOT / path, os.X_OK) for path in named if path.endswith(".sh"))
    assert set(re.findall(r"\bmake ([a-z-]+)", CODE)) <= set(targets)


def test_sums_of_the_costs_are_right() -> None:
    """Each is that of its arithmetic, and the last line is the sum of those at rest."""
    at_rest = []
    for what, arithmetic, amounts in COSTS:
        *first, right = map(float, amounts.split("|"))
        products = [re.findall(r"[\d.]+", product) for product in arithmetic.split("+")]
        assert round(sum(math.prod(map(float, factors)) for factors in products), 2) == right, what
        at_rest += [(*first, right)] if first else []
    together = (f"{sum(column):.2f}" for column in zip(*at_rest, strict=True))

    assert (len(COSTS), len(at_rest)) == (16, 11)
    assert f"| together | | {' | '.join(together)} |" in (DOCS / "costs.md").read_text("utf-8")


def test_costs_are_of_as_many_alerts_and_probes_as_are_deployed(snapshots: Mapping[str, Snapshot]) -> None:
    """The first factor of a line is how many there are."""
    prod, region = snapshots["prod"], snapshots["prod"].region_groups()[0]
    runs = [
        rule["properties"]["evaluationFrequency"]
        for rule in prod.find("Microsoft.Insights/scheduledQueryRules", region)
    ]
    [test] = prod.find("Microsoft.Insights/webtests", region)
    asked = 30 * 24 * 3600 / test["properties"]["Frequency"] * len(test["properties"]["Locations"])
    [group] = prod.find("Microsoft.Cdn/profiles/originGroups:all-regions")
    probes = 100 * 60 / group["properties"]["healthProbeSettings"]["probeIntervalInSeconds"]
    deployed = {
        "alerts over logs, every five minutes": runs.count("PT5M"),
        "alerts over logs, every 15 minutes or less often": len(runs) - runs.count("PT5M"),
        "alerts over metrics": len(prod.find("Microsoft.Insights/metricAlerts", region)),
        "availability test": asked,
        "probes of Front Door": probes,
    }

    for name, number in deployed.items():
        [first] = [arithmetic.split(" x ")[0] for what, arithmetic, _ in COSTS if what.startswith(name)]
        assert float(first) == number, name


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
    """The page has the variables that files read and workflows set; the command for production sets its own."""
    files = [*INFRA.rglob("*.bicepparam"), *WORKFLOWS, ROOT / "azure.yaml", *(ROOT / "ops").glob("*.py")]
    # Outputs of the template, which hooks of azd read.
    outputs = {"BROKER_URL", "BROKER_RESOURCE_GROUP", "BROKER_FUNCTION_APP"}
    used = {name for path in files for name in _VARIABLE.findall(path.read_text("utf-8"))} - outputs
    [block] = [block for block in BLOCKS if "prod.bicepparam" in block]
    parameters = (INFRA / "env/prod.bicepparam").read_text("utf-8")

    assert set(_VARIABLE.findall(PAGE)) == used
    assert set(_VARIABLE.findall(block)) == set(re.findall(r"readEnvironmentVariable\('(\w+)'", parameters))


def test_variables_that_decide_whether_a_job_runs_are_set_in_the_repository() -> None:
    """GitHub reads them before the job has its environment, or in a job without one."""
    deciding = re.findall(r"if: vars\.(\w+)", "".join(path.read_text("utf-8") for path in WORKFLOWS))
    [sentence] = re.findall(r"environments;\s(.+) in the repository alone:", PAGE)

    assert set(_VARIABLE.findall(sentence)) == set(deciding)


@pytest.mark.parametrize("command", re.findall(r"-m scripts\.[^\n`]+", PAGE))
def test_commands_have_the_options_that_are_shown(command: str) -> None:
    """Our own commands accept the options on the page."""
    [module] = re.findall(r"-m (scripts\.\w+)", command)
    shown = subprocess.run(  # noqa: S603 - this Python.
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert set(re.findall(r"(--\w[\w-]*)", command)) <= set(re.findall(r"(--\w[\w-]*)", shown))


def test_dead_letters_are_written_with_an_identity() -> None:
    """The storage account takes no keys, so that a dead letter without an identity would be lost."""
    text = (ROOT / "docs/events.md").read_text("utf-8").replace("\\\n", " ")
    [command] = re.findall(r"^az eventgrid .+$", text, re.MULTILINE)

    assert "--deadletter-identity systemassigned " in command
    assert "--deadletter-identity-endpoint " in command
    assert "--deadletter-endpoint " not in command


def test_outputs_have_the_names_on_the_page(templates: Mapping[str, Compiled]) -> None:
    """The page uses outputs of the main template."""
    main = templates["main.bicep"].template
    names = {"resourceGroup", "functionAppName", "hostName"}

    assert names <= set(main["definitions"]["stampType"]["properties"]) & set(IN_LINE)
    assert "stamps" in main["outputs"]


def test_parameters_and_resource_groups_in_commands_exist(
    bicep: Bicep, snapshots: Mapping[str, Snapshot]
) -> None:
    """A command for the bootstrap template sets all its parameters, and names of resource groups are right."""
    bootstrap = next(line for line in COMMANDS if "bootstrap/main.bicep" in line)
    given = re.findall(r"(\w+)=\S+", bootstrap[bootstrap.index("--parameters") :])
    groups = set(re.findall(r"\brg-[\w-]+", "\n".join(COMMANDS)))

    given += re.findall(r"(\w+)='", " ".join(IN_LINE))
    assert set(given) == set(bicep.parameters(INFRA / "bootstrap/main.bicep"))
    assert "rg-liveness-dev-weu" in groups
    of_pipelines = re.findall(r"name: '(rg-[\w-]+)'", (INFRA / "bootstrap/main.bicep").read_text("utf-8"))
    assert _with_code(groups) <= {*_names(snapshots, "Microsoft.Resources/resourceGroups"), *of_pipelines}


def test_identities_are_for_the_subject_that_github_names() -> None:
    """Tokens of repositories since July 2026 have ids in it, and Entra compares the whole text.

    https://docs.github.com/actions/reference/security/oidc#immutable-subject-claims
    """
    asked, used = (
        next(number for number, line in enumerate(COMMANDS) if part in line)
        for part in ("/actions/oidc/customization/sub --jq .sub_claim_prefix", "bootstrap/main.bicep")
    )

    assert asked < used
    assert "repository=OWNER@OWNER_ID/NAME@REPOSITORY_ID " in COMMANDS[used]


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("profile", "profiles"),
        ("endpoint", "profiles/afdEndpoints"),
        ("route", "profiles/afdEndpoints/routes"),
        ("origin-group", "profiles/originGroups"),
        ("origin", "profiles/originGroups/origins"),
    ],
)
def test_the_names_to_delete_are_the_names_of_the_deployment(
    snapshots: Mapping[str, Snapshot], option: str, kind: str
) -> None:
    """The commands that delete a region name the resources that were created for it."""
    given = set(re.findall(rf"--{option}-name (\S+)", "\n".join(COMMANDS)))

    assert given
    assert _with_code(given) <= _names(snapshots, f"Microsoft.Cdn/{kind}")


def _with_code(names: set[str]) -> set[str]:
    return {name.replace("CODE", "weu") for name in names}


def _names(snapshots: Mapping[str, Snapshot], kind: str) -> set[str]:
    return {found["name"].split("/")[-1] for name in ("dev", "prod") for found in snapshots[name].find(kind)}
