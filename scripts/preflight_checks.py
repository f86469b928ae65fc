"""What stands in the way of a deployment, each with what to do about it. Nothing here changes anything."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.azure_cli import AskFailed, Azure
from scripts.deployment_plan import Plan

_DOCS = "docs/deploy.md"
# Who may make resources, and who may give the app its roles.
_MAKERS = {"Owner", "Contributor"}
_GIVERS = {"Owner", "Role Based Access Control Administrator", "User Access Administrator"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: whether the deployment would fail, what it is, and what to do."""

    blocking: bool
    what: str
    to_do: str


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in, and where."""

    subscription: str
    tenant: str
    user: str


Check = Callable[[Azure, Account, Plan], Iterator[Finding]]


def signed_in(azure: Azure) -> Account:
    """Who is signed in; raises `AskFailed` where nobody is."""
    shown = azure.ask("account", "show")
    return Account(shown["id"], shown["tenantId"], shown["user"]["name"])


def run_checks(azure: Azure, account: Account, plan: Plan) -> list[Finding]:
    """Run all checks; one that cannot be made is a finding that does not block."""
    return [finding for check in CHECKS for finding in _made(check, azure, account, plan)]


def providers_are_registered(azure: Azure, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each namespace of the plan has to be registered with the subscription."""
    states = {one["namespace"].lower(): one["registrationState"] for one in azure.ask("provider", "list")}
    for namespace in plan.providers:
        if (state := states.get(namespace.lower(), "NotRegistered")) != "Registered":
            yield Finding(
                True,
                f"provider {namespace} is {state}",
                f"az provider register --wait --namespace {namespace}",
            )


def regions_have_flex(azure: Azure, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each region has to offer the Flex Consumption plan."""
    offered = {_plain(place["name"]) for place in azure.ask("functionapp", "list-flexconsumption-locations")}
    for region in plan.regions:
        if _plain(region) not in offered:
            yield Finding(
                True,
                f"{region} does not offer Flex Consumption",
                "choose one of `az functionapp list-flexconsumption-locations`; faceLocation may stay where it is",
            )


def regions_have_face(azure: Azure, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each place of a Face account has to offer its price tier."""
    for face in plan.faces:
        skus = azure.ask(
            *("cognitiveservices", "account", "list-skus", "--kind", "Face", "--location", face.location)
        )
        if face.sku not in {sku["name"] for sku in skus or ()}:
            yield Finding(
                True,
                f"{face.location} does not offer Face {face.sku}",
                "choose another region, or set faceLocation: biometric data then leaves the region",
            )


def terms_are_accepted(azure: Azure, account: Account, plan: Plan) -> Iterator[Finding]:
    """The first Face account of a subscription has to be made by hand, where the terms are accepted."""
    if not _face_accounts(azure):
        yield Finding(
            False,
            "there is no Face account in this subscription yet: the terms of Responsible AI may not be accepted",
            "make one in the portal, tick the terms, delete and purge it; liveness also needs the approval of Limited "
            "Access: https://aka.ms/facerecognition",
        )


def free_tier_is_free(azure: Azure, account: Account, plan: Plan) -> Iterator[Finding]:
    """A subscription has one Face account of the tier F0."""
    planned = {face.name for face in plan.faces}
    taken = [
        one["name"]
        for one in _face_accounts(azure)
        if one["sku"]["name"] == "F0" and one["name"] not in planned
    ]
    wanted = [face for face in plan.faces if face.sku == "F0"]
    if len(wanted) + len(taken) > 1 and wanted:
        others = ", ".join(taken) or "another region"
        yield Finding(
            True, f"there can be one Face account of tier F0, and {others} has it", "set faceSku to S0"
        )


def names_are_free(azure: Azure, account: Account, plan: Plan) -> Iterator[Finding]:
    """A deleted vault or Face account keeps its name until it is purged."""
    for vault in azure.ask("keyvault", "list-deleted", "--resource-type", "vault"):
        if vault["name"] in plan.vaults:
            yield Finding(True, f"the deleted vault {vault['name']} holds its name", _ways_back(vault))
    planned = {face.name: face for face in plan.faces}
    for deleted in azure.ask("cognitiveservices", "account", "list-deleted"):
        if deleted["name"] in planned and not plan.restores_faces:
            yield Finding(
                True,
                f"the deleted Face account {deleted['name']} holds its name",
                "set restoreFace to bring it back, purge it (az cognitiveservices account purge), or another nameSalt",
            )


def quota_is_left(azure: Azure, account: Account, plan: Plan) -> Iterator[Finding]:
    """Each region has to have room for one more storage account, and the place of Face for one more account."""
    for region in plan.regions:
        usage = azure.ask("storage", "account", "show-usage", "--location", region)
        if usage["currentValue"] >= usage["limit"]:
            yield Finding(
                True, f"no storage account is left in {region}", "delete one, or ask for a higher quota"
            )
    for location in sorted({face.location for face in plan.faces}):
        for usage in azure.ask("cognitiveservices", "usage", "list", "--location", location) or ():
            name = usage["name"]["value"]
            if "face" in name.lower() and usage["currentValue"] >= usage["limit"]:
                yield Finding(
                    True,
                    f"the quota {name} is used up in {location}",
                    "delete an account, or ask for a higher quota",
                )


def deployer_has_roles(azure: Azure, account: Account, plan: Plan) -> Iterator[Finding]:
    """Who deploys has to be able to make resources, and to give the app its roles."""
    held = {
        assignment["roleDefinitionName"]
        for assignment in azure.ask(
            *("role", "assignment", "list", "--assignee", account.user),
            *("--scope", f"/subscriptions/{account.subscription}", "--include-inherited", "--include-groups"),
        )
    }
    lacking = [
        (needed, purpose)
        for needed, purpose in ((_MAKERS, "make resources"), (_GIVERS, "assign roles"))
        if not held & needed
    ]
    own = held & _custom_roles(azure) if lacking else set()
    for needed, purpose in lacking:
        advice = f"needs one of: {', '.join(sorted(needed))}; {_DOCS} has the least that will do"
        if own:
            # What a role of the subscription's own allows is not looked into.
            yield Finding(
                False, f"{account.user} may {purpose} if {', '.join(sorted(own))} says so", f"else {advice}"
            )
        else:
            yield Finding(True, f"{account.user} may not {purpose} in this subscription", advice)


CHECKS: tuple[Check, ...] = (
    deployer_has_roles,
    providers_are_registered,
    regions_have_flex,
    regions_have_face,
    terms_are_accepted,
    free_tier_is_free,
    names_are_free,
    quota_is_left,
)


def _made(check: Check, azure: Azure, account: Account, plan: Plan) -> Iterator[Finding]:
    try:
        yield from check(azure, account, plan)
    except AskFailed as failure:
        name = check.__name__.replace("_", " ")
        yield Finding(False, f"not known whether {name}: {failure}", "look it up, or deploy and see")


def _ways_back(vault: Mapping[str, Any]) -> str:
    """What can be done about a deleted vault; one with purge protection cannot be purged before its time."""
    about, name = vault["properties"], vault["name"]
    group = about["vaultId"].split("/")[4]
    ways = (
        f"`az keyvault recover --name {name}` brings it back with its pepper, where the resource group {group} is",
        None
        if about.get("purgeProtectionEnabled")
        else f"`az keyvault purge --name {name} --location {about['location']}` gives the name free",
        "another nameSalt makes another name",
    )
    return "; ".join(way for way in ways if way)


def _custom_roles(azure: Azure) -> set[str]:
    return {
        role["roleName"] for role in azure.ask("role", "definition", "list", "--custom-role-only", "true")
    }


def _face_accounts(azure: Azure) -> list[Any]:
    accounts = azure.ask("cognitiveservices", "account", "list")
    return [account for account in accounts if account["kind"] == "Face"]


def _plain(region: str) -> str:
    return region.replace(" ", "").lower()
