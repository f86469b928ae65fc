"""`ops preflight`, over a made-up subscription and a broker on loopback."""

import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from ops.azure_cli import AskFailed, AzureCli
from ops.deployment_plan import INFRA, Plan
from ops.preflight import report
from ops.preflight_checks import Account, Finding, run_checks
from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import Bicep
from tests.ops.shell import Ended, run_beside, run_command
from tests.support.broker import FUNCTION_KEY, Broker
from tests.support.easy_auth import guarded

ACCOUNT = Account(
    "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002", "deployer@example.com"
)


def deleted_vault(name: str, *, protected: bool = True) -> Mapping[str, Any]:
    """Return a vault as the list of deleted ones shows it."""
    return {
        "name": name,
        "properties": {
            "location": "westeurope",
            "purgeProtectionEnabled": protected or None,
            "vaultId": f"/subscriptions/x/resourceGroups/a-group/providers/Microsoft.KeyVault/vaults/{name}",
        },
    }


REGIONS = ("westeurope", "northeurope", "swedencentral")
VAULT, FACE = "kv-weu-loabhfyl5emtk", "face-weu-loabhfyl5emtk"
FREE = {"name": "x", "kind": "Face", "sku": {"name": "F0"}}
FULL = {"name": {"value": "Face.S0"}, "currentValue": 10, "limit": 10}
# The answers of a subscription without problems, by the first words of the question.
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


class FakeAzure(AzureCli):
    """An Azure CLI that answers by the longest prefix of the question that it knows, or raises the answer."""

    def __init__(self, **changed: object) -> None:
        super().__init__()
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


def test_subscription_without_problems_has_no_findings(plan: Plan) -> None:
    """There is nothing to do."""
    assert run_checks(FakeAzure(), ACCOUNT, plan) == []


# What Azure answers differently, the problem, and the advice.
PROBLEMS = [
    ("role assignment list", [{"roleDefinitionName": "Contributor"}], "may not assign roles", "Role Based"),
    ("role assignment list", [], "may not create resources", "Contributor, Owner"),
    (
        "provider list",
        [],
        "provider Microsoft.Web is NotRegistered",
        "az provider register --wait --namespace",
    ),
    ("functionapp list-flexconsumption-locations", [], "westeurope does not offer Flex", "choose one of"),
    ("cognitiveservices account list-skus", [{"name": "S0"}], "does not offer Face F0", "faceLocation"),
    ("cognitiveservices account list", [FREE], "tier F0, and x has it", "set faceSku to S0"),
    (
        "keyvault list-deleted",
        [deleted_vault(VAULT)],
        "the deleted vault",
        "if resource group a-group exists; a new",
    ),
    ("keyvault list-deleted", [deleted_vault(VAULT, protected=False)], "the deleted vault", "keyvault purge"),
    ("cognitiveservices account list-deleted", [{"name": FACE}], "the deleted Face account", "restoreFace"),
    ("storage account show-usage", FULL, "quota for storage accounts is used up", "higher quota"),
    ("cognitiveservices usage list", [FULL], "quota Face.S0 is used up in westeurope", "higher quota"),
]


@pytest.mark.parametrize(("question", "answer", "what", "advice"), PROBLEMS)
def test_problem_blocks_and_has_advice(
    plan: Plan, question: str, answer: object, what: str, advice: str
) -> None:
    """What would fail the deployment is named, with what to do."""
    findings = run_checks(FakeAzure(**{question: answer}), ACCOUNT, plan)

    assert any(
        finding.blocking and what in finding.what and advice in finding.advice for finding in findings
    ), findings


def test_subscription_without_a_face_account_gets_a_note(plan: Plan) -> None:
    """Nobody can ask whether the terms are accepted, so that this does not block."""
    [finding] = run_checks(FakeAzure(**{"cognitiveservices account list": []}), ACCOUNT, plan)

    assert not finding.blocking
    assert "create one in the portal" in finding.advice


def test_custom_role_may_be_enough(plan: Plan) -> None:
    """It is not looked into, and does not block; a built-in role that is not enough does."""
    held = [{"roleDefinitionName": "Deployer of ours"}, {"roleDefinitionName": "Reader"}]
    findings = run_checks(FakeAzure(role_assignment_list=held), ACCOUNT, plan)

    assert [finding.blocking for finding in findings] == [False, False]
    assert all("only if Deployer of ours allows it" in finding.what for finding in findings)
    assert all(
        finding.blocking for finding in run_checks(FakeAzure(role_assignment_list=held[1:]), ACCOUNT, plan)
    )


@pytest.mark.parametrize("question", sorted(set(GOOD) - {"account show", "role definition list"}))
def test_unanswered_question_is_a_note(plan: Plan, question: str) -> None:
    """The other checks go on."""
    findings = run_checks(FakeAzure(**{question: AskFailed("AuthorizationFailed")}), ACCOUNT, plan)

    assert findings
    assert all(not finding.blocking and "AuthorizationFailed" in finding.what for finding in findings)


def test_isolated_regions_need_one_more_provider() -> None:
    """The app's subnet is delegated to a provider that no resource of the plan belongs to."""
    prod = Plan(Snapshot.load(INFRA / "env/prod.snapshot.json").resources)

    assert "Microsoft.App" in prod.providers
    assert prod.regions == sorted(REGIONS)


def test_deleted_face_account_that_is_restored_is_no_problem(plan: Plan) -> None:
    """The deployment takes its name over."""
    resources = deepcopy(list(plan.resources))
    for resource in resources:
        if resource["type"] == "Microsoft.CognitiveServices/accounts":
            resource["properties"]["restore"] = True

    azure = FakeAzure(**{"cognitiveservices account list-deleted": [{"name": FACE}]})
    assert run_checks(azure, ACCOUNT, Plan(resources)) == []


class MadeUpCli:
    """A program `az` that answers as `FakeAzure`, and notes what it is asked."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys

    def preflight(self, name: str, environment: Mapping[str, str], **changed: object) -> Ended:
        """Run the command for a parameter file."""
        program = self._folder / "az"
        program.write_text(_AZ.format(python=sys.executable, answers=FakeAzure(**changed).answers), "utf-8")
        program.chmod(0o755)
        return run_command(self._capsys, ["preflight", name], environment)

    def asked(self) -> list[str]:
        """Return the questions."""
        return (self._folder / "asked").read_text("utf-8").splitlines()


_AZ = """#!{python}
import json, sys
answers = {answers!r}
asked = " ".join(sys.argv[1:])
with open(sys.argv[0].removesuffix("az") + "asked", "a") as log:
    print(asked, file=log)
known = [question for question in answers if asked.startswith(question)]
print(json.dumps(answers[max(known, key=len)])) if known else sys.exit("Please run 'az login'")
"""


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> MadeUpCli:
    """A made-up Azure CLI on the search path."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return MadeUpCli(tmp_path, capsys)


def test_findings_are_printed_with_what_to_do(bicep: Bicep, az: MadeUpCli) -> None:
    """The subscription is azd's own, whatever the Azure CLI has selected.

    The names checked are those that this subscription would get; the committed snapshot stays as it is.
    """
    snapshot, another = INFRA / "main.snapshot.json", "00000000-0000-0000-0000-000000000009"
    before = snapshot.read_bytes()
    vaults = Plan(Snapshot.load(snapshot).resources).vaults
    answers: dict[str, Any] = {
        "account show": {**GOOD["account show"], "id": another},
        "provider list": [],
        "keyvault list-deleted": [deleted_vault(name) for name in vaults],
        "cognitiveservices account list": [],
    }

    ended = az.preflight("azd", {"AZURE_SUBSCRIPTION_ID": another}, **answers)

    problems = [line for line in ended.lines if line.startswith("problem ")]
    assert ended.status == 1
    assert ended.target.startswith(f"subscription {another}, signed in as deployer@example.com, regions west")
    assert "problem  provider Microsoft.KeyVault is NotRegistered" in problems
    assert "         az provider register --wait --namespace Microsoft.KeyVault" in ended.lines
    assert [line[:50] for line in ended.lines if line.startswith("note ")] == [
        "note     this subscription has no Face account yet"
    ]
    assert all("provider" in line for line in problems)
    assert ended.errors == [f"ops: deployment is blocked: {len(problems)} problems"]
    assert all(f"--subscription {another}" in line for line in az.asked())
    assert snapshot.read_bytes() == before


@pytest.mark.parametrize(("notes", "line"), [(0, "good"), (1, "good; 1 note"), (2, "good; 2 notes")])
def test_notes_do_not_block(notes: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They are counted in the last line."""
    report([Finding("a note", "advice", blocking=False)] * notes, "good", "bad")

    assert capsys.readouterr().out.splitlines()[-1] == line


def test_mistake_in_the_parameters_is_one_line(
    bicep: Bicep, az: MadeUpCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the compiler's warnings around it."""
    monkeypatch.setenv("AZURE_ENV_NAME", "My-env")

    ended = az.preflight("azd", {})

    assert ended.status == 1
    assert "environmentName holds lower-case letters and digits alone" in "".join(ended.errors)
    assert "Warning" not in "".join(ended.errors)


def test_missing_login_is_an_error_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is asked."""
    (tmp_path / "az").write_text("#!/bin/sh\necho \"Please run 'az login'\" >&2; exit 1\n")
    (tmp_path / "az").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    ended = run_command(capsys, ["preflight", "dev"], {})

    assert (ended.status, ended.errors) == (
        1,
        ["ops: not signed in: Please run 'az login'; run az login, and az account set --subscription NAME"],
    )


async def test_local_broker_that_is_ready_has_no_findings(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command asks a broker on a laptop and in Azure, with a token where Easy Auth needs one."""
    key = ("--key", FUNCTION_KEY)
    open_broker = await run_beside(capsys, "preflight", "--url", broker.host.url, *key)
    async with guarded(broker) as url:
        with_token = await run_beside(capsys, "preflight", "--url", url, *key, "--token", "a-token")
        without = await run_beside(capsys, "preflight", "--url", url, *key)

    for ended in (open_broker, with_token):
        assert (ended.status, ended.lines, ended.errors) == (0, ["the broker is ready"], [])
    assert without.status == 1
    assert "a token with --token" in without.lines[1]


async def test_failed_dependency_is_named_with_what_to_do(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong subscription key is named as such."""
    broker.simulator.keys = {"another-key"}

    ended = await run_beside(capsys, "preflight", "--url", broker.host.url, "--key", FUNCTION_KEY)

    assert ended.lines[0].startswith("problem  face: UpstreamUnauthorized")
    assert ended.lines[1].strip().startswith("check that the key in the vault belongs to this Face account")
    assert ended.errors == ["ops: the broker is not ready: 1 problem"]


async def test_wrong_function_key_is_a_problem(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the key nothing is known about the dependencies."""
    ended = await run_beside(capsys, "preflight", "--url", broker.host.url, "--key", "wrong")

    assert ended.status == 1
    assert ended.lines[0].startswith("problem  the broker does not tell whether it is ready: 401")
