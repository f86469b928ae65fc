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

ACCOUNT = Account(f"{1:08}-0000-0000-0000-000000000000", f"{2:08}-0000", "deployer@example.com")


def deleted_vault(name: str, *, protected: bool = True) -> Mapping[str, Any]:
    """Return a vault as the list of deleted ones shows it."""
    vault = f"/subscriptions/x/resourceGroups/a-group/providers/Microsoft.KeyVault/vaults/{name}"
    purge = {"purgeProtectionEnabled": protected or None}
    return {"name": name, "properties": {"location": "westeurope", "vaultId": vault, **purge}}


VAULT, FACE = "kv-weu-loabhfyl5emtk", "face-weu-loabhfyl5emtk"
FREE = {"name": "x", "kind": "Face", "sku": {"name": "F0"}}
FULL = {"name": {"value": "Face.S0"}, "currentValue": 10, "limit": 10}
# The answers of a subscription without problems, by the first words of the question.
GOOD: dict[str, Any] = {
    "account show": {"id": ACCOUNT.subscription, "tenantId": ACCOUNT.tenant, "user": {"name": ACCOUNT.user}},
    "provider list": [
        {"namespace": f"Microsoft.{name}", "registrationState": "Registered"}
        for name in (
            *("App", "Authorization", "Cdn", "CognitiveServices", "EventGrid", "Insights", "KeyVault"),
            *("ManagedIdentity", "Network", "OperationalInsights", "Resources", "Storage", "Web"),
        )
    ],
    "functionapp list-flex": [{"name": "West Europe"}, {"name": "northeurope"}],
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

    def __init__(self, changed: Mapping[str, object]) -> None:
        super().__init__()
        self.answers = {**GOOD, **changed}

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON it answers.
        asked = " ".join(arguments)
        known = max((question for question in self.answers if asked.startswith(question)), key=len)
        if isinstance(answer := self.answers[known], Exception):
            raise answer
        return answer


def plan_for(environment: str) -> Plan:
    """Return what an environment would deploy."""
    return Plan(Snapshot.load(INFRA / f"env/{environment}.snapshot.json").resources)


def findings(changed: Mapping[str, object], plan: Plan | None = None) -> list[Finding]:
    """Run the checks for dev, where Azure answers some questions differently."""
    return run_checks(FakeAzure(changed), ACCOUNT, plan or plan_for("dev"))


ROLES, FACES = "role assignment list", "cognitiveservices account list"
NAMES, VAULTS = "cognitiveservices account list-deleted", "keyvault list-deleted"
DELETED, PURGEABLE = deleted_vault(VAULT), deleted_vault(VAULT, protected=False)
OURS, READER, CONTRIBUTOR = (
    {"roleDefinitionName": name} for name in ("Deployer of ours", "Reader", "Contributor")
)
PROBLEM, NOTE = True, False
# What Azure answers differently, the finding, and the advice.
FINDINGS = [
    (ROLES, [CONTRIBUTOR], PROBLEM, "may not assign roles", "Role Based"),
    (ROLES, [READER], PROBLEM, "may not create resources", "Contributor, Owner"),
    (ROLES, [OURS, READER], NOTE, "may assign roles only if Deployer of ours allows it", "else needs one"),
    ("provider list", [], PROBLEM, "provider Microsoft.Web is NotRegistered", "az provider register --wait"),
    ("functionapp list-flex", [], PROBLEM, "westeurope does not offer Flex", "choose one of"),
    (f"{FACES}-skus", [{"name": "S0"}], PROBLEM, "does not offer Face F0", "faceLocation"),
    (FACES, [FREE], PROBLEM, "tier F0, and x has it", "set faceSku to S0"),
    (FACES, [], NOTE, "has no Face account yet", "create one in the portal"),
    (VAULTS, [DELETED], PROBLEM, "the deleted vault", "if resource group a-group exists; a new"),
    (VAULTS, [PURGEABLE], PROBLEM, "the deleted vault", "keyvault purge"),
    (NAMES, [{"name": FACE}], PROBLEM, "the deleted Face account", "restoreFace"),
    ("storage account show-usage", FULL, PROBLEM, "storage accounts is used up", "higher quota"),
    ("cognitiveservices usage list", [FULL], PROBLEM, "Face.S0 is used up in westeurope", "higher quota"),
]


@pytest.mark.parametrize(("question", "answer", "blocking", "what", "advice"), FINDINGS)
def test_problem_or_note_has_advice(
    question: str, answer: object, blocking: bool, what: str, advice: str
) -> None:
    """What would fail the deployment blocks it; what cannot be known for sure is a note. There is nothing else."""
    found = findings({question: answer})

    assert any(what in one.what and advice in one.advice for one in found), found
    assert all(one.blocking is blocking for one in found)
    assert findings({}) == []


@pytest.mark.parametrize("question", sorted(set(GOOD) - {"account show", "role definition list"}))
def test_unanswered_question_is_a_note(question: str) -> None:
    """The other checks go on."""
    found = findings({question: AskFailed("AuthorizationFailed")})

    assert found
    assert all(not one.blocking and "AuthorizationFailed" in one.what for one in found)


def test_plan_says_what_the_checks_must_look_at() -> None:
    """The subnet of an isolated app is delegated to a provider that no resource of the plan belongs to.

    A deployment that restores deleted Face accounts takes their names over.
    """
    dev, prod = plan_for("dev"), plan_for("prod")
    for face in dev.faces:
        face["properties"]["restore"] = True

    assert findings({NAMES: [{"name": FACE}]}, dev) == []
    assert ("Microsoft.App" in dev.providers, "Microsoft.App" in prod.providers) == (False, True)
    assert prod.regions == ["northeurope", "swedencentral", "westeurope"]


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
    answers = GOOD | {
        "account show": {**GOOD["account show"], "id": another},
        "provider list": [],
        "keyvault list-deleted": [deleted_vault(vault["name"]) for vault in vaults],
        "cognitiveservices account list": [],
    }
    add_az(tmp_path, _AZ.format(python=sys.executable, answers=answers))

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
