"""`ops preflight`, over a made-up subscription and a broker on loopback."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ops.azure_cli import AskFailed, AzureCli
from ops.deployment_plan import INFRA, Plan
from ops.preflight import report
from ops.preflight_checks import Account, Finding, run_checks
from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import Bicep
from tests.ops.shell import add_az, run_beside, run_command
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
    "functionapp list-flexconsumption-locations": [{"name": "West Europe"}, {"name": "northeurope"}],
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
        named = {question.replace("_", " "): answer for question, answer in changed.items()}
        self.answers = {**GOOD, **named}

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON it answers.
        asked = " ".join(arguments)
        known = max((question for question in self.answers if asked.startswith(question)), key=len)
        if isinstance(answer := self.answers[known], Exception):
            raise answer
        return answer


def plan_for(environment: str) -> Plan:
    """Return what an environment would deploy."""
    return Plan(Snapshot.load(INFRA / f"env/{environment}.snapshot.json").resources)


def findings(**changed: object) -> list[Finding]:
    """Run the checks for dev, where Azure answers some questions differently."""
    return run_checks(FakeAzure(**changed), ACCOUNT, plan_for("dev"))


def test_subscription_without_problems_has_no_findings() -> None:
    """There is nothing to do."""
    assert findings() == []


DELETED, PURGEABLE = deleted_vault(VAULT), deleted_vault(VAULT, protected=False)
CONTRIBUTOR, NO_F0 = {"roleDefinitionName": "Contributor"}, {"name": "S0"}
# What Azure answers differently, the problem, and the advice.
PROBLEMS = [
    ("role assignment list", [CONTRIBUTOR], "may not assign roles", "Role Based"),
    ("role assignment list", [], "may not create resources", "Contributor, Owner"),
    ("provider list", [], "provider Microsoft.Web is NotRegistered", "az provider register --wait --name"),
    ("functionapp list-flexconsumption-locations", [], "westeurope does not offer Flex", "choose one of"),
    ("cognitiveservices account list-skus", [NO_F0], "does not offer Face F0", "faceLocation"),
    ("cognitiveservices account list", [FREE], "tier F0, and x has it", "set faceSku to S0"),
    ("keyvault list-deleted", [DELETED], "the deleted vault", "if resource group a-group exists; a new"),
    ("keyvault list-deleted", [PURGEABLE], "the deleted vault", "keyvault purge"),
    ("cognitiveservices account list-deleted", [{"name": FACE}], "the deleted Face account", "restoreFace"),
    ("storage account show-usage", FULL, "quota for storage accounts is used up", "higher quota"),
    ("cognitiveservices usage list", [FULL], "quota Face.S0 is used up in westeurope", "higher quota"),
]


@pytest.mark.parametrize(("question", "answer", "what", "advice"), PROBLEMS)
def test_problem_blocks_and_has_advice(question: str, answer: object, what: str, advice: str) -> None:
    """What would fail the deployment is named, with what to do."""
    found = findings(**{question: answer})

    assert any(one.blocking and what in one.what and advice in one.advice for one in found), found


def test_subscription_without_a_face_account_gets_a_note() -> None:
    """Nobody can ask whether the terms are accepted, so that this does not block."""
    [finding] = findings(**{"cognitiveservices account list": []})

    assert not finding.blocking
    assert "create one in the portal" in finding.advice


def test_custom_role_may_be_enough() -> None:
    """It is not looked into, and does not block; a built-in role that is not enough does."""
    held = [{"roleDefinitionName": "Deployer of ours"}, {"roleDefinitionName": "Reader"}]
    custom, built_in = findings(role_assignment_list=held), findings(role_assignment_list=held[1:])

    assert [finding.blocking for finding in custom] == [False, False]
    assert all("only if Deployer of ours allows it" in finding.what for finding in custom)
    assert [finding.blocking for finding in built_in] == [True, True]


@pytest.mark.parametrize("question", sorted(set(GOOD) - {"account show", "role definition list"}))
def test_unanswered_question_is_a_note(question: str) -> None:
    """The other checks go on."""
    found = findings(**{question: AskFailed("AuthorizationFailed")})

    assert found
    assert all(not one.blocking and "AuthorizationFailed" in one.what for one in found)


def test_isolated_regions_need_one_more_provider() -> None:
    """The app's subnet is delegated to a provider that no resource of the plan belongs to."""
    prod = plan_for("prod")

    assert "Microsoft.App" in prod.providers
    assert prod.regions == sorted(REGIONS)


def test_deleted_face_account_that_is_restored_is_no_problem() -> None:
    """The deployment takes its name over."""
    plan = plan_for("dev")
    for face in plan.faces:
        face["properties"]["restore"] = True

    azure = FakeAzure(**{"cognitiveservices account list-deleted": [{"name": FACE}]})
    assert run_checks(azure, ACCOUNT, plan) == []


_AZ = """#!{python}
import json, sys
answers = {answers!r}
asked = " ".join(sys.argv[1:])
with open(sys.argv[0].removesuffix("az") + "asked", "a") as log:
    print(asked, file=log)
known = [question for question in answers if asked.startswith(question)]
print(json.dumps(answers[max(known, key=len)]))
"""


def test_findings_are_printed_with_what_to_do(
    bicep: Bicep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The subscription is azd's own, whatever the Azure CLI has selected.

    The names checked are those that this subscription would get; the committed snapshot stays as it is.
    A mistake in the parameters is an error without the compiler's warnings around it.
    """
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    snapshot, another = INFRA / "main.snapshot.json", "00000000-0000-0000-0000-000000000009"
    before = snapshot.read_bytes()
    vaults = Plan(Snapshot.load(snapshot).resources).of("Microsoft.KeyVault/vaults")
    azure = FakeAzure(
        account_show={**GOOD["account show"], "id": another},
        provider_list=[],
        keyvault_list_deleted=[deleted_vault(vault["name"]) for vault in vaults],
    )
    azure.answers["cognitiveservices account list"] = []
    add_az(tmp_path, _AZ.format(python=sys.executable, answers=azure.answers))

    ended = run_command(capsys, ["preflight", "azd"], {"AZURE_SUBSCRIPTION_ID": another})
    monkeypatch.setenv("AZURE_ENV_NAME", "My-env")
    mistaken = run_command(capsys, ["preflight", "azd"], {})

    problems = [line for line in ended.lines if line.startswith("problem ")]
    notes = [line for line in ended.lines if line.startswith("note ")]
    asked = (tmp_path / "asked").read_text("utf-8").splitlines()
    assert ended.status == 1
    assert ended.target.startswith(f"subscription {another}, signed in as deployer@example.com, regions west")
    assert "problem  provider Microsoft.KeyVault is NotRegistered" in problems
    assert "         az provider register --wait --namespace Microsoft.KeyVault" in ended.lines
    assert [line[:50] for line in notes] == ["note     this subscription has no Face account yet"]
    assert all("provider" in line for line in problems)
    assert ended.errors == [f"ops: deployment is blocked: {len(problems)} problems"]
    assert all(f"--subscription {another}" in line for line in asked[:-1])
    assert snapshot.read_bytes() == before
    assert mistaken.status == 1
    assert "environmentName holds lower-case letters and digits alone" in "".join(mistaken.errors)
    assert "Warning" not in "".join(mistaken.errors)


@pytest.mark.parametrize(("notes", "line"), [(0, "good"), (1, "good; 1 note"), (2, "good; 2 notes")])
def test_notes_do_not_block(notes: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They are counted in the last line."""
    report([Finding("a note", "advice", blocking=False)] * notes, "good", "bad")

    assert capsys.readouterr().out.splitlines()[-1] == line


@pytest.mark.parametrize(
    ("script", "why"),
    [("echo \"Please run 'az login'\" >&2; exit 1", "Please run 'az login'"), ("exit 1", "no answer")],
)
def test_missing_login_is_an_error_that_says_what_to_do(
    script: str, why: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else is asked."""
    add_az(path, script)

    ended = run_command(capsys, ["preflight", "dev"], {})

    error = f"ops: not signed in: {why}; run az login, and az account set --subscription NAME"
    assert (ended.status, ended.errors) == (1, [error])


async def test_local_broker_that_is_ready_has_no_findings(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command asks a broker on a laptop and in Azure, with a token where Easy Auth needs one."""
    words = f"preflight --key {FUNCTION_KEY} --url"
    open_broker = await run_beside(capsys, f"{words} {broker.host.url}")
    async with guarded(broker) as url:
        with_token = await run_beside(capsys, f"{words} {url} --token a-token")
        without = await run_beside(capsys, f"{words} {url}")

    for ended in (open_broker, with_token):
        assert (ended.status, ended.lines, ended.errors) == (0, ["the broker is ready"], [])
    assert without.status == 1
    assert "a token with --token" in without.lines[1]


@pytest.mark.parametrize(
    ("key", "what", "advice"),
    [
        (FUNCTION_KEY, "face: UpstreamUnauthorized", "check that the key in the vault belongs to this Face"),
        ("wrong", "the broker does not tell whether it is ready: 401", "give a function key with --key"),
    ],
)
async def test_broker_that_is_not_ready_is_a_problem(
    broker: Broker, key: str, what: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dependency that fails is named, with what to do. Without the function key none is known."""
    broker.simulator.keys = {"another-key"}

    ended = await run_beside(capsys, f"preflight --url {broker.host.url} --key {key}")

    assert ended.lines[0].startswith(f"problem  {what}")
    assert ended.lines[1].strip().startswith(advice)
    assert ended.errors == ["ops: the broker is not ready: 1 problem"]
