"""The checks of a subscription before a deployment. Each finding says what to do about it."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from ops.azure_cli import OF_ANOTHER_SHAPE, AskFailed, AzureCli
from ops.deployment_plan import Plan
from ops.output import CommandFailed

_ASSIGN: Final = "Microsoft.Authorization/roleAssignments/write"
_AZ_VERSIONS: Final = (
    ((2, 72), "the check of roles fails"),
    ((2, 76), "the what-if of ci.yml fails"),
)
"""The versions that options of `az` came with, and what fails below: https://learn.microsoft.com/cli/azure/release-notes-azure-cli."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that would fail the deployment, or a note that does not block it, and what to do."""

    what: str
    advice: str
    blocking: bool = True


@dataclass(frozen=True, slots=True)
class Account:
    """The login of the Azure CLI: a person, a service principal or a managed identity."""

    subscription: str
    tenant: str
    user: str
    object_id: str


Check = Callable[[AzureCli, Account, Plan], Iterator[Finding]]


def signed_in(azure: AzureCli) -> Account:
    """Return the login; raises `CommandFailed` without one.

    The object id is in the token alone: the name of a service principal is its client id, and that of a managed
    identity says only which kind it is.
    """
    answer, shown = azure.must_ask("account", "get-access-token"), azure.must_ask("account", "show")
    try:
        claims = _claims(answer["accessToken"])
        return Account(shown["id"], shown["tenantId"], shown["user"]["name"], claims["oid"])
    except OF_ANOTHER_SHAPE as error:
        raise CommandFailed(
            f"the Azure CLI describes its login in another way than expected ({type(error).__name__}): az upgrade"
        ) from error


def _claims(token: str) -> Mapping[str, str]:
    content = token.split(".")[1]
    claims: Mapping[str, str] = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    return claims


def run_checks(azure: AzureCli, account: Account, plan: Plan) -> list[Finding]:
    """Run all checks. A check that Azure does not answer is a note, and the others go on."""
    return [finding for check in CHECKS for finding in _run(check, azure, account, plan)]


def _run(check: Check, azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    try:
        yield from check(azure, account, plan)
    except (AskFailed, *OF_ANOTHER_SHAPE) as failure:
        name = check.__name__.replace("_", " ")
        shape = f"an answer of the Azure CLI is not as expected ({type(failure).__name__})"
        what = f"could not check that {name}: {failure if isinstance(failure, AskFailed) else shape}"
        yield Finding(what, "look it up, or deploy and see", blocking=False)


def az_is_new_enough(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Some options that the commands here use came late."""
    version = azure.ask("version")["azure-cli"]
    number = tuple(int(part) for part in version.split(".")[:2])
    for least, lost in _AZ_VERSIONS:
        if number < least:
            what = f"the Azure CLI is {version}: {lost} below {least[0]}.{least[1]}"
            yield Finding(what, "az upgrade", blocking=False)


def deployer_has_roles(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """The roles of the deployer must allow each action of the plan; those of its groups and parent scopes count."""
    # Azure itself resolves the groups, and no name is asked for: a pipeline may not read the directory (Graph).
    assignments = azure.ask_list(
        *("role", "assignment", "list", "--assignee-object-id", account.object_id),
        *("--scope", f"/subscriptions/{account.subscription}", "--include-inherited", "--include-groups"),
        *("--fill-principal-name", "false", "--fill-role-definition-name", "false"),
    )
    held = {assignment["roleDefinitionId"].split("/")[-1] for assignment in assignments}
    roles = [role for role in azure.ask_list("role", "definition", "list") if role["name"] in held]
    if not held or len(roles) < len(held):
        yield Finding(
            f"Azure does not show all roles of {account.user} in this subscription: they may not be enough",
            "roles that another tenant delegates are never shown; deploy and see",
            blocking=False,
        )
        return
    allowed = [permission for role in roles for permission in role["permissions"]]
    lacking = [action for action in plan.actions if not any(_allows(one, action) for one in allowed)]
    names = ", ".join(sorted(role["roleName"] for role in roles))
    for task, actions, role in (
        ("create resources", [action for action in lacking if action != _ASSIGN], "Contributor"),
        (
            "assign roles",
            [action for action in lacking if action == _ASSIGN],
            "Role Based Access Control Administrator",
        ),
    ):
        if actions:
            more = f" and {len(actions) - 1} more" if actions[1:] else ""
            yield Finding(
                f"{account.user} ({names}) may not {task} in this subscription: {actions[0]}{more}",
                f"needs {role}, or Owner; docs/deploy.md has the least that is enough",
            )


def providers_are_registered(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each resource provider of the plan must be registered with the subscription.

    A deployment registers those of its own resources, where the deployer may:
    https://learn.microsoft.com/azure/azure-resource-manager/management/resource-providers-and-types.
    """
    states = {
        one["namespace"].lower(): one["registrationState"] for one in azure.ask_list("provider", "list")
    }
    for namespace in (*plan.providers, *plan.further_providers):
        state = states.get(namespace.lower(), "NotRegistered")
        if state != "Registered":
            advice = f"az provider register --wait --namespace {namespace}"
            yield Finding(f"provider {namespace} is {state}", advice, namespace in plan.further_providers)


def regions_have_flex(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each region must offer the Flex Consumption plan."""
    command = "list-flexconsumption-locations"
    offered = {_plain(place["name"]) for place in azure.ask_list("functionapp", command)}
    for one in _new(azure, [one for one in plan.apps if _plain(one["location"]) not in offered]):
        advice = f"choose one of `az functionapp {command}`; faceLocation may stay where it is"
        yield Finding(f"{one['location']} does not offer Flex Consumption", advice)


def regions_have_zones(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each zone-redundant app needs a region that has zones for the Flex Consumption plan."""
    plans = [one for one in plan.of("Microsoft.Web/serverfarms") if one["properties"].get("zoneRedundant")]
    if not plans:
        return
    command = ("functionapp", "list-flexconsumption-locations", "--zone-redundant", "true")
    offered = {_plain(place["name"]) for place in azure.ask_list(*command)}
    for one in _new(azure, [one for one in plans if _plain(one["location"]) not in offered]):
        advice = "set zoneRedundant to false for this region, or choose another one"
        yield Finding(f"{one['location']} has no zones for Flex Consumption", advice)


def regions_have_storage(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each region must offer the kind of storage account to this subscription; some have none over zones."""
    skus = azure.ask_list("storage", "sku", "list")
    missing = [one for one in plan.storage_accounts if not any(_offers(sku, one) for sku in skus)]
    for one in _new(azure, missing):
        advice = "set storageSku to Standard_LRS for this region, or choose another one"
        yield Finding(f"{one['location']} does not offer storage of the kind {one['sku']['name']}", advice)


def regions_have_face(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each location of a Face account must offer its price tier."""
    missing = []
    for face in plan.faces:
        where = ("--kind", "Face", "--location", face["location"])
        skus = azure.ask_list("cognitiveservices", "account", "list-skus", *where)
        if face["sku"]["name"] not in {sku["name"] for sku in skus}:
            missing.append(face)
    for face in _new(azure, missing):
        advice = "choose another region, or set faceLocation: biometric data then leaves the region"
        yield Finding(f"{face['location']} does not offer Face {face['sku']['name']}", advice)


def terms_are_accepted(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """The first Face account of a subscription must be created in the portal, where its terms are accepted."""
    if not _face_accounts(azure):
        yield Finding(
            "this subscription has no Face account yet: the Responsible AI terms may not be accepted",
            "create one in the portal, accept the terms, delete and purge it; liveness also needs approval for "
            "Limited Access: https://aka.ms/facerecognition",
            blocking=False,
        )


def free_tier_is_free(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """A subscription has only one Face account of tier F0."""
    planned = {face["name"] for face in plan.faces}
    free = [one["name"] for one in _face_accounts(azure) if one["sku"]["name"] == "F0"]
    taken = [name for name in free if name not in planned]
    wanted = [face for face in plan.faces if face["sku"]["name"] == "F0"]
    if wanted and len(wanted) + len(taken) > 1:
        others = ", ".join(taken) or "another region"
        what = f"a subscription has one Face account of tier F0, and {others} has it"
        yield Finding(what, "set faceSku to S0")


def names_are_free(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """A deleted vault or Face account keeps its name until it is purged."""
    vaults = {vault["name"] for vault in plan.of("Microsoft.KeyVault/vaults")}
    for vault in azure.ask_list("keyvault", "list-deleted", "--resource-type", "vault"):
        if vault["name"] in vaults:
            yield Finding(f"the deleted vault {vault['name']} holds its name", _vault_advice(vault))
    planned = {face["name"] for face in plan.faces}
    restored = any(face["properties"].get("restore") for face in plan.faces)
    for deleted in azure.ask_list("cognitiveservices", "account", "list-deleted"):
        if deleted["name"] in planned and not restored:
            yield Finding(
                f"the deleted Face account {deleted['name']} holds its name",
                "set restoreFace to restore it, purge it (az cognitiveservices account purge), or change nameSalt",
            )


def quota_is_left(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each region must have room for another storage account, and each Face location for another Face account."""
    advice = "delete one, or ask for a higher quota"
    full = []
    for one in plan.storage_accounts:
        usage = azure.ask("storage", "account", "show-usage", "--location", one["location"])
        if usage["currentValue"] >= usage["limit"]:
            full.append(one)
    for one in _new(azure, full):
        yield Finding(f"the quota for storage accounts is used up in {one['location']}", advice)
    for face in plan.faces:
        for usage in azure.ask_list("cognitiveservices", "usage", "list", "--location", face["location"]):
            name = usage["name"]["value"]
            if "face" in name.lower() and usage["currentValue"] >= usage["limit"] and _new(azure, [face]):
                yield Finding(f"the quota {name} is used up in {face['location']}", advice)


CHECKS: Final[tuple[Check, ...]] = (
    az_is_new_enough,
    deployer_has_roles,
    providers_are_registered,
    regions_have_flex,
    regions_have_zones,
    regions_have_storage,
    regions_have_face,
    terms_are_accepted,
    free_tier_is_free,
    names_are_free,
    quota_is_left,
)


def _allows(permission: Mapping[str, Any], action: str) -> bool:
    """Whether a permission of a role covers an action; its patterns ignore case, and `*` covers any part."""

    def covered(patterns: list[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return covered(permission["actions"]) and not covered(permission["notActions"])


def _offers(sku: Mapping[str, Any], account: Mapping[str, Any]) -> bool:
    """Whether a line of the list of storage kinds allows an account of the plan in its region."""
    refused = {_plain(place) for one in sku["restrictions"] or () for place in one.get("values") or ()}
    places = {_plain(place) for place in sku["locations"]}
    same = (sku["name"], sku["kind"]) == (account["sku"]["name"], account["kind"])
    return same and _plain(account["location"]) in places - refused


def _new(azure: AzureCli, resources: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return those that do not exist yet: what exists stays, whatever the region offers by now."""
    existing = {one["name"].lower() for one in azure.ask_list("resource", "list")} if resources else set()
    return [one for one in resources if one["name"].lower() not in existing]


def _vault_advice(vault: Mapping[str, Any]) -> str:
    """Say how to get the name back; a vault with purge protection cannot be purged before its time."""
    about, name = vault["properties"], vault["name"]
    group = about["vaultId"].split("/")[4]
    restore = (
        f"`az keyvault recover --name {name}` restores it with its pepper, if resource group {group} exists"
    )
    purge = f"`az keyvault purge --name {name} --location {about['location']}` frees the name; "
    return (
        f"{restore}; {'' if about.get('purgeProtectionEnabled') else purge}a new nameSalt makes another name"
    )


def _face_accounts(azure: AzureCli) -> list[Any]:
    accounts = azure.ask_list("cognitiveservices", "account", "list")
    return [account for account in accounts if account["kind"] == "Face"]


def _plain(region: str) -> str:
    return region.replace(" ", "").lower()
