"""What the preflight says, over a made-up Azure."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from scripts.azure_cli import AskFailed
from scripts.broker_client import Service
from scripts.deployment_plan import Plan, parameter_file
from scripts.preflight import broker_findings, main
from scripts.preflight_checks import CHECKS, Account, Finding, run_checks
from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import ENVIRONMENTS, INFRA, ROOT, Bicep, parameters_of
from tests.support.broker import FUNCTION_KEY, Broker, running_broker
from tests.support.easy_auth import guarded

ACCOUNT = Account(
    "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002", "deployer@example.com"
)


def deleted_vault(name: str, *, protected: bool = True) -> Mapping[str, Any]:
    """A vault as the list of deleted ones has it."""
    return {
        "name": name,
        "properties": {
            "location": "westeurope",
            "purgeProtectionEnabled": protected or None,
            "vaultId": f"/subscriptions/x/resourceGroups/a-group/providers/Microsoft.KeyVault/vaults/{name}",
        },
    }


REGIONS = ("westeurope", "northeurope", "swedencentral")
# A subscription in which nothing stands in the way: answers by the first words of what is asked.
GOOD: Mapping[str, Any] = {
    "account show": {"id": ACCOUNT.subscription, "tenantId": ACCOUNT.tenant, "user": {"name": ACCOUNT.user}},
    "provider list": [
        {"namespace": f"Microsoft.{name}", "registrationState": "Registered"}
        for name in (
            *("App", "Authorization", "Cdn", "CognitiveServices", "EventGrid", "Insights", "KeyVault"),
            *("ManagedIdentity", "Network", "OperationalInsights", "Resources", "Storage", "Web"),
        )
    ],
    "functionapp list-flexconsumption-locations": [
        {"name": "West Europe"},
        {"name": "northeurope"},
        {"name": REGIONS[2]},
    ],
    "cognitiveservices account list-skus": [{"name": "F0"}, {"name": "S0"}],
    "cognitiveservices account list-deleted": [],
    "cognitiveservices account list": [{"name": "another", "kind": "Face", "sku": {"name": "S0"}}],
    "cognitiveservices usage list": [{"name": {"value": "Face.S0"}, "currentValue": 1, "limit": 10}],
    "keyvault list-deleted": [deleted_vault("kv-of-somebody")],
    "storage account show-usage": {"currentValue": 3, "limit": 250},
    "role assignment list": [{"roleDefinitionName": "Owner"}],
    "role definition list": [{"roleName": "Deployer of ours"}],
}


class FakeAzure:
    """Answers by the longest beginning of what is asked that it knows; an exception is raised."""

    def __init__(self, **changed: object) -> None:
        self.answers = {
            **GOOD,
            **{question.replace("_", " "): answer for question, answer in changed.items()},
        }

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON it answers.
        asked = " ".join(arguments)
        known = max((question for question in self.answers if asked.startswith(question)), key=len)
        if isinstance(answer := self.answers[known], Exception):
            raise answer
        return deepcopy(answer)


@pytest.fixture
def plan() -> Plan:
    """What dev would deploy."""
    return Plan(Snapshot.load(INFRA / "env/dev.snapshot.json").resources)


def test_nothing_is_found_where_nothing_stands_in_the_way(plan: Plan) -> None:
    """A subscription that is ready gets no advice."""
    assert run_checks(FakeAzure(), ACCOUNT, plan) == []


@pytest.mark.parametrize(
    ("question", "answer", "what", "to_do"),
    [
        (
            "role assignment list",
            [{"roleDefinitionName": "Contributor"}],
            "may not assign roles",
            "Role Based Access",
        ),
        ("role assignment list", [], "may not make resources", "Contributor, Owner"),
        (
            "provider list",
            [],
            "provider Microsoft.Web is NotRegistered",
            "az provider register --wait --namespace",
        ),
        ("functionapp list-flexconsumption-locations", [], "westeurope does not offer Flex", "choose one of"),
        ("cognitiveservices account list-skus", [{"name": "S0"}], "does not offer Face F0", "faceLocation"),
        (
            "cognitiveservices account list",
            [{"name": "x", "kind": "Face", "sku": {"name": "F0"}}],
            "one Face account of tier F0, and x has it",
            "set faceSku to S0",
        ),
        (
            "keyvault list-deleted",
            [deleted_vault("kv-weu-loabhfyl5emtk")],
            "the deleted vault",
            "brings it back with its pepper, where the resource group a-group is; another nameSalt",
        ),
        (
            "keyvault list-deleted",
            [deleted_vault("kv-weu-loabhfyl5emtk", protected=False)],
            "the deleted vault",
            "`az keyvault purge --name kv-weu-loabhfyl5emtk --location westeurope` gives the name free",
        ),
        (
            "cognitiveservices account list-deleted",
            [{"name": "face-weu-loabhfyl5emtk"}],
            "the deleted Face account",
            "restoreFace",
        ),
        (
            "storage account show-usage",
            {"currentValue": 250, "limit": 250},
            "no storage account is left",
            "quota",
        ),
        (
            "cognitiveservices usage list",
            [{"name": {"value": "Face.S0"}, "currentValue": 10, "limit": 10}],
            "the quota Face.S0 is used up in westeurope",
            "higher quota",
        ),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_what_stands_in_the_way_is_said_with_what_to_do(
    plan: Plan, question: str, answer: object, what: str, to_do: str
) -> None:
    """Each thing that would fail later blocks, is named, and has an advice."""
    findings = run_checks(FakeAzure(**{question: answer}), ACCOUNT, plan)

    assert any(
        finding.blocking and what in finding.what and to_do in finding.to_do for finding in findings
    ), findings


def test_no_face_account_is_no_proof(plan: Plan) -> None:
    """Whether the terms are accepted cannot be asked: it is said, and does not block."""
    [finding] = run_checks(FakeAzure(**{"cognitiveservices account list": []}), ACCOUNT, plan)

    assert not finding.blocking
    assert "make one in the portal" in finding.to_do


def test_a_role_of_ones_own_may_be_enough(plan: Plan) -> None:
    """What it allows is not looked into: it is said, and does not block; a built-in role that is too little does."""
    held = [{"roleDefinitionName": "Deployer of ours"}, {"roleDefinitionName": "Reader"}]
    findings = run_checks(FakeAzure(role_assignment_list=held), ACCOUNT, plan)

    assert [finding.blocking for finding in findings] == [False, False]
    assert all("if Deployer of ours says so" in finding.what for finding in findings)
    assert all(
        finding.blocking for finding in run_checks(FakeAzure(role_assignment_list=held[1:]), ACCOUNT, plan)
    )


@pytest.mark.parametrize("question", sorted(set(GOOD) - {"account show", "role definition list"}))
def test_what_cannot_be_looked_up_does_not_block(plan: Plan, question: str) -> None:
    """A question that Azure does not answer is told, and the other checks go on."""
    findings = run_checks(FakeAzure(**{question: AskFailed("AuthorizationFailed")}), ACCOUNT, plan)

    assert findings
    assert all(not finding.blocking and "AuthorizationFailed" in finding.what for finding in findings)


def test_who_is_not_signed_in_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The first question decides whether there is anybody to ask for."""
    code = main(["dev"], FakeAzure(**{"account show": AskFailed("Please run 'az login'")}))

    assert code == 1
    assert "az login, and az account set" in capsys.readouterr().out


def test_isolated_regions_need_one_more_provider() -> None:
    """The subnet of the app is delegated to a provider that no resource of the plan belongs to."""
    prod = Plan(Snapshot.load(INFRA / "env/prod.snapshot.json").resources)

    assert "Microsoft.App" in prod.providers
    assert prod.regions == sorted(REGIONS)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_environment_has_its_parameter_file(environment: str) -> None:
    """Preflight and tests mean the same files."""
    assert parameter_file(INFRA, environment) == parameters_of(environment)
    assert parameter_file(INFRA, environment).exists()


def test_the_command_asks_the_azure_cli(bicep: Bicep, tmp_path: Path, plan: Plan) -> None:
    """From the command line it runs `az`, prints each finding, and ends with 1 where one blocks.

    The names in question are those that this subscription would get, and not those of the committed snapshot, which
    stays as it is.
    """
    before = (INFRA / "env/dev.snapshot.json").read_bytes()
    answers = {
        **GOOD,
        "account show": {**GOOD["account show"], "id": "00000000-0000-0000-0000-000000000009"},
        "provider list": [],
        "keyvault list-deleted": [deleted_vault(name) for name in plan.vaults],
    }
    run = _run_with(answers, tmp_path, "dev")

    assert run.returncode == 1, run.stderr
    assert "BLOCKS  provider Microsoft.KeyVault is NotRegistered" in run.stdout
    assert "az provider register --wait --namespace Microsoft.KeyVault" in run.stdout
    assert "the deleted vault" not in run.stdout
    assert (INFRA / "env/dev.snapshot.json").read_bytes() == before


def test_azd_has_a_subscription_of_its_own(bicep: Bicep, tmp_path: Path) -> None:
    """Whatever is selected in the Azure CLI: azd deploys to the one of its environment."""
    run = _run_with(GOOD, tmp_path, "azd", AZURE_SUBSCRIPTION_ID="another")
    asked = (tmp_path / "asked").read_text("utf-8").splitlines()

    assert run.returncode == 0, run.stdout + run.stderr
    assert asked
    assert all("--subscription another" in line for line in asked)


def test_a_mistake_in_the_parameters_is_told_in_a_line(bicep: Bicep, tmp_path: Path) -> None:
    """Without the warnings of the compiler around it."""
    run = _run_with(GOOD, tmp_path, "azd", AZURE_ENV_NAME="My-env")

    assert run.returncode == 1
    assert "environmentName holds lower-case letters and digits alone" in run.stderr
    assert "Warning" not in run.stderr


@pytest_asyncio.fixture
async def broker() -> AsyncIterator[Broker]:
    async with running_broker() as running:
        yield running


async def test_a_local_broker_that_is_ready_has_no_findings(broker: Broker) -> None:
    """The same command asks a running broker, on a laptop as in Azure."""
    assert await asyncio.to_thread(main, ["--url", broker.host.url, "--key", FUNCTION_KEY]) == 0


async def test_what_a_broker_lacks_is_said_with_what_to_do(broker: Broker) -> None:
    """A wrong subscription key shows as what it is."""
    broker.simulator.keys = {"another-key"}

    [finding] = await asyncio.to_thread(_findings, broker.host.url)
    assert finding.what.startswith("face: UpstreamUnauthorized")
    assert finding.to_do.startswith("does the key in the vault belong to this Face account")


async def test_behind_easy_auth_a_token_is_needed(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one nothing is known, and the option is named."""
    async with guarded(broker) as url:
        key = ("--url", url, "--key", FUNCTION_KEY)
        assert await asyncio.to_thread(main, [*key, "--token", "a-token"]) == 0
        assert await asyncio.to_thread(main, key) == 1

    assert "a token with --token" in capsys.readouterr().out


async def test_a_wrong_function_key_is_told(broker: Broker) -> None:
    """Without the key nothing is known, which is not nothing found."""
    [finding] = await asyncio.to_thread(lambda: list(broker_findings(Service(broker.host.url), "wrong")))

    assert "readiness was not told: 401" in finding.what


def test_every_check_is_described() -> None:
    """The name of a check is what is said where it could not be made."""
    assert all("_" in check.__name__ and check.__doc__ for check in CHECKS)


def _findings(url: str) -> list[Finding]:
    return list(broker_findings(Service(url), FUNCTION_KEY))


def _run_with(
    answers: Mapping[str, Any], folder: Path, environment: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    (folder / "az").write_text(_AZ.format(python=sys.executable, answers=answers), "utf-8")
    (folder / "az").chmod(0o755)
    compiler = Path(shutil.which("bicep") or "").parent
    return subprocess.run(  # noqa: S603 - this Python.
        [sys.executable, "-m", "scripts.preflight", environment],
        cwd=ROOT,
        env={
            "PATH": f"{folder}:{compiler}:/usr/bin:/bin",
            "HOME": str(folder),
            "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
            "DOTNET_TieredPGO": "0",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )


_AZ = """#!{python}
import json, sys
answers = {answers!r}
asked = " ".join(sys.argv[1:])
with open(sys.argv[0].removesuffix("az") + "asked", "a") as log:
    print(asked, file=log)
print(json.dumps(answers[max((known for known in answers if asked.startswith(known)), key=len)]))
"""
