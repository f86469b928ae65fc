"""The checks of a subscription before a deployment. Each finding says what to do about it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ops.azure_cli import AskFailed, AzureCli
from ops.deployment_plan import Plan

# The roles that may create resources, and those that may give the app its own roles.
_CREATE: Final = {"Owner", "Contributor"}
_ASSIGN: Final = {"Owner", "Role Based Access Control Administrator", "User Access Administrator"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that would fail the deployment, or a note that does not block it, and what to do."""

    what: str
    advice: str
    blocking: bool = True


@dataclass(frozen=True, slots=True)
class Account:
    """The login of the Azure CLI."""

    subscription: str
    tenant: str
    user: str


Check = Callable[[AzureCli, Account, Plan], Iterator[Finding]]


def signed_in(azure: AzureCli) -> Account:
    """Return the login; raises `AskFailed` without one."""
    shown = azure.ask("account", "show")
    return Account(shown["id"], shown["tenantId"], shown["user"]["name"])


def run_checks(azure: AzureCli, account: Account, plan: Plan) -> list[Finding]:
    """Run all checks. A check that Azure does not answer is a note, and the others go on."""
    return [finding for check in CHECKS for finding in _run(check, azure, account, plan)]


def _run(check: Check, azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    try:
        yield from check(azure, account, plan)
    except AskFailed as failure:
        name = check.__name__.replace("_", " ")
        what = f"could not check that {name}: {failure}"
        yield Finding(what, "look it up, or deploy and see", blocking=False)


def deployer_has_roles(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """The deployer needs roles to create resources, and to assign roles to the app."""
    scope = ("--scope", f"/subscriptions/{account.subscription}", "--include-inherited", "--include-groups")
    assignments = azure.ask("role", "assignment", "list", "--assignee", account.user, *scope)
    held = {assignment["roleDefinitionName"] for assignment in assignments}
    tasks = ((_CREATE, "create resources"), (_ASSIGN, "assign roles"))
    lacking = [(roles, task) for roles, task in tasks if not held & roles]
    if not lacking:
        return
    custom_roles = azure.ask("role", "definition", "list", "--custom-role-only", "true")
    custom = ", ".join(sorted(held & {role["roleName"] for role in custom_roles}))
    for roles, task in lacking:
        advice = f"needs one of: {', '.join(sorted(roles))}; docs/deploy.md has the least that is enough"
        if custom:
            # Custom roles are not looked into.
            what = f"{account.user} may {task} only if {custom} allows it"
            yield Finding(what, f"else {advice}", blocking=False)
        else:
            yield Finding(f"{account.user} may not {task} in this subscription", advice)


def providers_are_registered(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each resource provider of the plan must be registered with the subscription."""
    states = {one["namespace"].lower(): one["registrationState"] for one in azure.ask("provider", "list")}
    for namespace in plan.providers:
        state = states.get(namespace.lower(), "NotRegistered")
        if state != "Registered":
            advice = f"az provider register --wait --namespace {namespace}"
            yield Finding(f"provider {namespace} is {state}", advice)


def regions_have_flex(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each region must offer the Flex Consumption plan."""
    command = "list-flexconsumption-locations"
    offered = {_plain(place["name"]) for place in azure.ask("functionapp", command)}
    for region in plan.regions:
        if _plain(region) not in offered:
            advice = f"choose one of `az functionapp {command}`; faceLocation may stay where it is"
            yield Finding(f"{region} does not offer Flex Consumption", advice)


def regions_have_face(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each location of a Face account must offer its price tier."""
    for face in plan.faces:
        location, tier = face["location"], face["sku"]["name"]
        where = ("--kind", "Face", "--location", location)
        skus = azure.ask("cognitiveservices", "account", "list-skus", *where)
        if tier not in {sku["name"] for sku in skus or ()}:
            advice = "choose another region, or set faceLocation: biometric data then leaves the region"
            yield Finding(f"{location} does not offer Face {tier}", advice)


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
    for vault in azure.ask("keyvault", "list-deleted", "--resource-type", "vault"):
        if vault["name"] in vaults:
            yield Finding(f"the deleted vault {vault['name']} holds its name", _vault_advice(vault))
    planned = {face["name"] for face in plan.faces}
    restored = any(face["properties"].get("restore") for face in plan.faces)
    for deleted in azure.ask("cognitiveservices", "account", "list-deleted"):
        if deleted["name"] in planned and not restored:
            yield Finding(
                f"the deleted Face account {deleted['name']} holds its name",
                "set restoreFace to restore it, purge it (az cognitiveservices account purge), or change nameSalt",
            )


def quota_is_left(azure: AzureCli, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each region must have room for another storage account, and each Face location for another Face account."""
    advice = "delete one, or ask for a higher quota"
    for region in plan.regions:
        usage = azure.ask("storage", "account", "show-usage", "--location", region)
        if usage["currentValue"] >= usage["limit"]:
            yield Finding(f"the quota for storage accounts is used up in {region}", advice)
    for location in sorted({face["location"] for face in plan.faces}):
        for usage in azure.ask("cognitiveservices", "usage", "list", "--location", location) or ():
            name = usage["name"]["value"]
            if "face" in name.lower() and usage["currentValue"] >= usage["limit"]:
                yield Finding(f"the quota {name} is used up in {location}", advice)


CHECKS: Final[tuple[Check, ...]] = (
    deployer_has_roles,
    providers_are_registered,
    regions_have_flex,
    regions_have_face,
    terms_are_accepted,
    free_tier_is_free,
    names_are_free,
    quota_is_left,
)


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
    accounts = azure.ask("cognitiveservices", "account", "list")
    return [account for account in accounts if account["kind"] == "Face"]


def _plain(region: str) -> str:
    return region.replace(" ", "").lower()
