"""`ops preflight`, over a made-up subscription and a broker on loopback."""

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ops.azure_cli import AskFailed, AzureCli
from ops.deployment_plan import INFRA, Plan
from ops.output import CommandFailed, Output
from ops.preflight import report
from ops.preflight_checks import Account, Finding, run_checks, signed_in
from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import Bicep
from tests.ops.shell import add_az, run_beside, run_command
from tests.support.broker import FUNCTION_KEY, Broker
from tests.support.easy_auth import guarded

OBJECT_ID = f"{3:08}-0000-0000-0000-000000000000"
ACCOUNT = Account(f"{1:08}-0000-0000-0000-000000000000", f"{2:08}-0000", "deployer@example.com", OBJECT_ID)


def held(role: str, *, group: bool = False, above: bool = False) -> dict[str, str]:
    """Return an assignment of a role as azure-cli 2.91 shows it, to the deployer or a group, here or above."""
    root = (
        "/providers/Microsoft.Management/managementGroups/a-group"
        if above
        else f"/subscriptions/{ACCOUNT.subscription}"
    )
    return {
        "principalId": f"{4:08}" if group else OBJECT_ID,
        "principalType": "Group" if group else "ServicePrincipal",
        "roleDefinitionId": f"{root}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        "scope": root,
    }


def role(name: str, actions: Sequence[str], not_actions: Sequence[str] = ()) -> Mapping[str, Any]:
    """Return the definition of a role; its name stands for its id too."""
    permission = {
        "actions": list(actions),
        "notActions": list(not_actions),
        "dataActions": [],
        "notDataActions": [],
    }
    return {"name": name, "roleName": name, "roleType": "BuiltInRole", "permissions": [permission]}


def storage_sku(name: str, location: str, *restrictions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a kind of storage account in one region."""
    return {"name": name, "kind": "StorageV2", "locations": [location], "restrictions": list(restrictions)}


def deleted_vault(name: str, *, protected: bool = True) -> Mapping[str, Any]:
    """Return a vault as the list of deleted ones shows it."""
    vault = f"/subscriptions/x/resourceGroups/a-group/providers/Microsoft.KeyVault/vaults/{name}"
    purge = {"purgeProtectionEnabled": protected or None}
    return {"name": name, "properties": {"location": "westeurope", "vaultId": vault, **purge}}


VAULT, FACE = "kv-weu-loabhfyl5emtk", "face-weu-loabhfyl5emtk"
FREE = {"name": "x", "kind": "Face", "sku": {"name": "F0"}}
FULL = {"name": {"value": "Face.S0"}, "currentValue": 10, "limit": 10}
_CLAIMS = base64.urlsafe_b64encode(json.dumps({"oid": OBJECT_ID}).encode()).decode().rstrip("=")
# The answers of a subscription without problems, by the first words of the question.
GOOD: dict[str, Any] = {
    "account get-access-token": {"accessToken": f"header.{_CLAIMS}.signature", "tokenType": "Bearer"},
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
    "role assignment list": [held("Owner")],
    "role definition list": [
        role("Owner", ["*"]),
        role("Contributor", ["*"], ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"]),
        role(
            "Role Based Access Control Administrator",
            ["Microsoft.Authorization/roleAssignments/write", "*/read"],
        ),
        role("Reader", ["*/read"]),
        role("Deployer of ours", ["Microsoft.*/write"]),
    ],
    "storage sku list": [storage_sku("Standard_ZRS", "westeurope"), storage_sku("Standard_LRS", "westus")],
    "resource list": [{"name": "another"}],
    "version": {"azure-cli": "2.91.0", "azure-cli-core": "2.91.0", "extensions": {}},
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
RBAC = "Role Based Access Control Administrator"
STORAGE = "storage sku list"
REFUSED = {"type": "Location", "values": ["westeurope"], "reasonCode": "NotAvailableForSubscription"}
PROBLEM, NOTE = True, False
# What Azure answers differently, the finding, and the advice.
FINDINGS: list[tuple[str, object, bool, str, str]] = [
    ("version", {"azure-cli": "2.71.0"}, NOTE, "2.71.0: the check of roles fails below 2.72", "az upgrade"),
    (ROLES, [held("Contributor")], PROBLEM, "(Contributor) may not assign roles", "Role Based"),
    (ROLES, [held("Reader")], PROBLEM, "may not create resources in this subscription: Micro", "Contributor"),
    (ROLES, [held("Reader"), held(RBAC)], PROBLEM, "may not create resources", "Contributor, or Owner"),
    (ROLES, [], NOTE, "does not show all roles of deployer@example.com", "another tenant"),
    (ROLES, [held("Contributor"), held("unknown")], NOTE, "does not show all roles", "another tenant"),
    (STORAGE, [storage_sku("Standard_LRS", "westeurope")], PROBLEM, "of the kind Standard_ZRS", "LRS"),
    (STORAGE, [storage_sku("Standard_ZRS", "westeurope", REFUSED)], PROBLEM, "Standard_ZRS", "Standard_LRS"),
    ("provider list", [], NOTE, "provider Microsoft.Web is NotRegistered", "az provider register --wait"),
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

REGIONAL = {
    *("functionapp list-flex", f"{FACES}-skus", STORAGE),
    *("storage account show-usage", "cognitiveservices usage list"),
}
"""What a region offers to new resources."""


@pytest.mark.parametrize(("question", "answer", "blocking", "what", "advice"), FINDINGS)
def test_problem_or_note_has_advice(
    question: str, answer: object, blocking: bool, what: str, advice: str
) -> None:
    """What would fail the deployment blocks it; what cannot be known for sure is a note. There is nothing else."""
    found = findings({question: answer})

    assert any(what in one.what and advice in one.advice for one in found), found
    assert all(one.blocking is blocking for one in found)
    assert findings({}) == []


@pytest.mark.parametrize(
    "question", sorted(set(GOOD) - {"account show", "account get-access-token", "resource list"})
)
def test_unanswered_question_is_a_note(question: str) -> None:
    """The other checks go on."""
    found = findings({question: AskFailed("AuthorizationFailed")})

    assert found
    assert all(not one.blocking and "AuthorizationFailed" in one.what for one in found)


@pytest.mark.parametrize("answer", [{}, [], None, "a text", 7, [None], [{}], ["a text"]], ids=json.dumps)
@pytest.mark.parametrize("question", sorted(set(GOOD) - {"account show", "account get-access-token"}))
def test_answer_of_another_shape_is_a_note(question: str, answer: object) -> None:
    """A later Azure CLI may answer so. It proves nothing, unlike a list that is empty, and the other checks go on."""
    # Only where something is missing is it asked what exists.
    missing: dict[str, object] = {"functionapp list-flex": []} if question == "resource list" else {}
    found = findings(missing | {question: answer})

    assert found or answer == []
    assert answer == [] or all(not one.blocking and "could not check that" in one.what for one in found)


@pytest.mark.parametrize("answer", [{}, [], None, "a text", {"accessToken": "no token"}], ids=json.dumps)
@pytest.mark.parametrize("question", ["account show", "account get-access-token"])
def test_login_of_another_shape_is_told(question: str, answer: object) -> None:
    """Without the login no check means anything."""
    with pytest.raises(CommandFailed, match="the Azure CLI describes its login in another way than expected"):
        signed_in(FakeAzure({question: answer}))


def test_answer_that_is_no_json_is_told(path: Path) -> None:
    """Such as a text of a broken installation."""
    add_az(path, "echo a text")

    with pytest.raises(AskFailed, match="the answer of the Azure CLI is not JSON"):
        AzureCli().ask("version")


# What Azure answers to the login of a person, of a service principal and of a managed identity.
LOGINS = {
    "person": {"name": "deployer@example.com", "type": "user"},
    "service principal": {"name": f"{9:08}-0000-0000-0000-000000000000", "type": "servicePrincipal"},
    "managed identity": {
        "assignedIdentityInfo": "MSI",
        "name": "systemAssignedIdentity",
        "type": "servicePrincipal",
    },
}
ENOUGH = [
    [held("Owner", group=True, above=True)],
    [held("Contributor", group=True), held(RBAC)],
    [held("Deployer of ours")],
]


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("roles", ENOUGH, ids=["owner above", "two roles", "a role of ours"])
def test_any_deployer_is_known_by_the_object_id_in_its_token(login: str, roles: object, path: Path) -> None:
    """Only a person's name is known to Azure. A pipeline may not read the directory, and nothing needs it to."""
    answers = GOOD | {"account show": GOOD["account show"] | {"user": LOGINS[login]}, ROLES: roles}
    add_az(path, _AZ.format(python=sys.executable, answers=answers))
    azure = AzureCli()

    account = signed_in(azure)
    found = run_checks(azure, account, plan_for("dev"))

    assert (account.user, account.object_id) == (LOGINS[login]["name"], OBJECT_ID)
    assert found == []
    assert (
        f"--assignee-object-id {OBJECT_ID} --scope /subscriptions/{ACCOUNT.subscription} --include-inherited "
        "--include-groups --fill-principal-name false " in (path / "asked").read_text()
    )


def test_old_azure_cli_is_a_note_with_what_it_says(path: Path) -> None:
    """Its error has the reason in the first line, and links after it."""
    answers = GOOD | {"version": {"azure-cli": "2.60.0"}}
    refusal = 'if "--assignee-object-id" in asked:\n    sys.exit("ERROR: unrecognized arguments: --x\\n\\nRead more")\n'
    add_az(path, _AZ.format(python=sys.executable, answers=answers).replace("known =", refusal + "known ="))

    found = run_checks(AzureCli(), ACCOUNT, plan_for("dev"))

    assert [one.blocking for one in found] == [False] * 3
    assert found[2].what == "could not check that deployer has roles: unrecognized arguments: --x"


def test_what_exists_is_not_blocked_by_what_its_region_offers_by_now() -> None:
    """A region that is deployed again needs no room, and keeps what it has, its Face account of the free tier too."""
    changed = {question: answer for question, answer, *_ in FINDINGS if question in REGIONAL}
    existing = [{"name": resource["name"]} for resource in plan_for("dev").resources]

    assert len(findings(changed)) == len(REGIONAL) == 5
    assert findings(changed | {"resource list": existing, FACES: [{**FREE, "name": FACE}]}) == []


ZONES = "functionapp list-flexconsumption-locations --zone-redundant true"
REGIONS = [{"name": region} for region in plan_for("prod").regions]


@pytest.mark.parametrize(
    ("changed", "problems"),
    [
        # A deployment registers the providers of its own resources alone.
        ({"provider list": []}, ["provider Microsoft.App is NotRegistered"]),
        # A region may offer the plan without zones.
        ({ZONES: REGIONS[:2]}, ["westeurope has no zones for Flex Consumption"]),
        ({ZONES: REGIONS}, []),
    ],
)
def test_production_is_isolated_and_zone_redundant(changed: dict[str, object], problems: list[str]) -> None:
    sku = [storage_sku("Standard_ZRS", region["name"]) for region in REGIONS]
    found = findings({STORAGE: sku, "functionapp list-flex": REGIONS, **changed}, plan_for("prod"))

    assert [one.what for one in found if one.blocking] == problems


def test_plan_says_what_the_checks_must_look_at() -> None:
    """The subnet of an isolated app is delegated to a provider that no resource of the plan belongs to.

    A deployment that restores deleted Face accounts takes their names over.
    """
    dev, prod = plan_for("dev"), plan_for("prod")
    for face in dev.faces:
        face["properties"]["restore"] = True

    assert findings({NAMES: [{"name": FACE}]}, dev) == []
    assert (dev.further_providers, prod.further_providers) == ([], ["Microsoft.App"])
    assert prod.regions == ["northeurope", "swedencentral", "westeurope"]


# `az` of a login that may not read the directory, as azure-cli 2.91 refuses it.
_AZ = """#!{python} -IS
import json, sys
answers = {answers!r}
asked = " ".join(sys.argv[1:])
with open(sys.argv[0].removesuffix("az") + "asked", "a") as log:
    print(asked, file=log)
if "--assignee " in asked or asked.startswith("role assignment") and "--fill-principal-name false" not in asked:
    sys.exit("ERROR: Insufficient privileges to complete the operation.")
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
    monkeypatch.setenv("DOTNET_TieredCompilation", "0")  # The compiler ends a quarter sooner.
    snapshot, another = INFRA / "main.snapshot.json", "00000000-0000-0000-0000-000000000009"
    before = snapshot.read_bytes()
    vaults = Plan(Snapshot.load(snapshot).resources).of("Microsoft.KeyVault/vaults")
    answers = GOOD | {
        "account show": {**GOOD["account show"], "id": another},
        "functionapp list-flex": [],
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
    assert problems == ["problem  westeurope does not offer Flex Consumption"]
    assert any(line.startswith("         choose one of `az functionapp list-flex") for line in ended.lines)
    assert [line[:50] for line in notes] == ["note     this subscription has no Face account yet"]
    assert ended.errors == ["ops: deployment is blocked: 1 problem"]
    assert all(f"--subscription {another}" in line for line in asked[:-2])
    assert snapshot.read_bytes() == before
    assert mistaken.status == 1
    assert "environmentName holds lower-case letters and digits alone" in "".join(mistaken.errors)
    assert "Warning" not in "".join(mistaken.errors)


@pytest.mark.parametrize(("notes", "line"), [(0, "good"), (1, "good; 1 note"), (2, "good; 2 notes")])
def test_notes_do_not_block(notes: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They are counted in the last line."""
    report([Finding("a note", "advice", blocking=False)] * notes, "good", "bad", Output())

    assert capsys.readouterr().out.splitlines()[-1] == line


LOG_IN = "ops: az account get-access-token: {}; run az login, and az account set --subscription NAME"


@pytest.mark.parametrize(
    ("script", "status", "error"),
    [
        (
            "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1",
            1,
            LOG_IN.format("Please run 'az login' to setup account."),
        ),
        ("exit 1", 1, LOG_IN.format("no answer")),
        (
            None,
            2,
            "ops: the Azure CLI (az) is not installed: install it from https://aka.ms/azure-cli, then run az login",
        ),
    ],
)
def test_missing_login_or_azure_cli_is_an_error_that_says_what_to_do(
    script: str | None, status: int, error: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else is asked. Only a program that is not installed has exit status 2."""
    if script:
        add_az(path, script)

    ended = run_command(capsys, ["preflight", "dev"], {})

    assert (ended.status, ended.errors) == (status, [error])


async def test_local_broker_that_is_ready_has_no_findings(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command asks a broker on a laptop and in Azure, with a token where Easy Auth needs one."""
    open_broker = await run_beside(capsys, f"preflight --url {broker.host.url}", BROKER_KEY=FUNCTION_KEY)
    async with guarded(broker, "a-token") as url:
        words, key = f"preflight --url {url}", FUNCTION_KEY
        with_token = await run_beside(capsys, words, BROKER_KEY=key, BROKER_TOKEN="a-token")
        without = await run_beside(capsys, words, BROKER_KEY=key)

    for ended in (open_broker, with_token):
        assert (ended.status, ended.lines, ended.errors) == (0, ["the broker is ready"], [])
    assert without.status == 1
    assert "Easy Auth BROKER_TOKEN" in without.lines[1]


@pytest.mark.parametrize(
    ("key", "what", "advice"),
    [
        (FUNCTION_KEY, "face: UpstreamUnauthorized", "check that the key in the vault belongs to this Face"),
        (
            "wrong",
            "the broker does not tell whether it is ready: 401",
            "set BROKER_KEY to the function key `default` of the app",
        ),
    ],
)
async def test_broker_that_is_not_ready_is_a_problem(
    broker: Broker, key: str, what: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dependency that fails is named, with what to do. Without the function key none is known."""
    broker.simulator.keys = {"another-key"}

    ended = await run_beside(capsys, f"preflight --url {broker.host.url}", BROKER_KEY=key)

    assert ended.lines[0].startswith(f"problem  {what}")
    assert ended.lines[1].strip().startswith(advice)
    assert ended.errors == ["ops: the broker is not ready: 1 problem"]
    script = await run_beside(capsys, f"preflight --url {broker.host.url} --json", BROKER_KEY=key)
    assert (script.status, len(script.objects)) == (1, 1)
