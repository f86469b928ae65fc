"""`region.bicep`: a region is a boundary of its own, and its parts are created in the right order."""

from collections.abc import Mapping
from itertools import combinations

import pytest

from shared.queues.port import RESULTS_QUEUE
from shared.storage.port import Table
from tests.infra.arm_snapshot import Snapshot, Template, group_of, nested, resources_of
from tests.infra.bicep_compiler import ENVIRONMENTS, Compiled
from tests.infra.rules import ACCOUNT, GROUP, QUEUES, SITE

_ROLE = "Microsoft.Authorization/roleAssignments"
Templates = Mapping[str, Compiled]


def test_the_app_waits_for_its_roles_secrets_and_storage(templates: Templates) -> None:
    """It needs them when it starts. The example of a subscription waits for the app."""
    parts = templates["region.bicep"].template["resources"]
    [app] = [name for name, part in parts.items() if SITE in _types(part)]
    needed = {name for name, part in parts.items() if _ROLE in _types(part)} | {"secrets", "storage"}

    assert needed <= _created_before(parts, app)
    assert app in _created_before(parts, "subscription_example")


def test_the_pepper_alone_is_kept_by_a_new_deployment(templates: Templates) -> None:
    """With a new pepper all devices would be new devices, without their limits; a new key of Face must be written."""
    parts = templates["modules/secrets.bicep"].template["resources"]
    kept = {name for name, part in parts.items() if part.get("@options") == {"onlyIfNotExists": []}}

    assert kept == {"keyVault::idPepper"}


def test_private_endpoints_are_created_one_by_one(templates: Templates) -> None:
    """A storage account accepts one change of its connections at a time, and has three private endpoints."""
    loops = [part["copy"] for part in _parts(templates, "network") if "copy" in part]

    assert {loop.get("mode") for loop in loops} == {"serial"}


def test_parts_of_the_app_are_changed_one_by_one(templates: Templates) -> None:
    """App Service may answer 409 to a change of an app while another one is under way."""
    parts = templates["modules/function-app.bicep"].template["resources"]
    children = [name for name, part in parts.items() if part["type"].startswith(f"{SITE}/")]

    for one, other in combinations(children, 2):
        assert one in _created_before(parts, other) or other in _created_before(parts, one), (one, other)


def test_a_subscription_is_tried_again(templates: Templates) -> None:
    """Event Grid checks the roles of its identity, which can take minutes to reach the storage account."""
    [part] = [one for one in _parts(templates, "event-subscription") if one["type"].endswith("Subscriptions")]

    assert "retryOn" in part["@options"]


def test_regions_share_nothing(snapshots: Mapping[str, Snapshot], templates: Templates) -> None:
    """No resource of one region names another region's resource group, nor any resource in it."""
    prod = snapshots["prod"]
    own = {
        group: {resource["id"] for resource in prod.resources if group_of(resource) == group}
        for group in prod.region_groups()
    }

    assert len(own) == 3
    for resource, text in prod.texts():
        if (group := group_of(resource)) in own:
            for other in own.keys() - {group}:
                assert other not in text, resource["id"]
                assert text not in own[other], resource["id"]
    for template in nested(templates["region.bicep"].template):
        assert "resourceGroup" not in str(template.get("resources")).replace("resourceGroup()", "")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_resources_are_in_the_region_of_their_group(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """Each resource is in the region of its resource group, unless it is global."""
    snapshot = snapshots[environment]
    regions = {group["name"]: group["location"] for group in snapshot.find(GROUP)}

    for resource in snapshot.resources:
        assert resource.get("location") in {None, "global", regions[group_of(resource)]}, resource["id"]


def test_global_resources_hold_no_data(snapshots: Mapping[str, Snapshot]) -> None:
    """Front Door, its firewall, private DNS names and alerts are global, and nothing else is."""
    kinds = {one["type"] for one in snapshots["prod"].resources if one.get("location") == "global"}

    assert kinds == {
        "Microsoft.Cdn/profiles",
        "Microsoft.Cdn/profiles/afdEndpoints",
        "Microsoft.Insights/actionGroups",
        "Microsoft.Insights/metricAlerts",
        "Microsoft.Network/FrontDoorWebApplicationFirewallPolicies",
        "Microsoft.Network/privateDnsZones",
        "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_region_has_the_tables_and_queues_of_the_app(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """The deployment creates the tables that the code names, and no others, and the queue with its poison queue."""
    snapshot = snapshots[environment]

    for group in snapshot.region_groups():
        tables, queues = (
            {found["name"].split("/")[-1] for found in snapshot.find(kind, group)}
            for kind in (f"{ACCOUNT}/tableServices/tables", QUEUES)
        )
        assert tables == {table.value for table in Table}
        assert {RESULTS_QUEUE, f"{RESULTS_QUEUE}-poison"} <= queues


def _types(part: Template) -> set[str]:
    """The types of the resources that a resource or module creates."""
    if part.get("existing"):
        return set()
    inner = part["properties"]["template"] if part["type"] == "Microsoft.Resources/deployments" else None
    return {part["type"]}.union(*map(_types, resources_of(inner) if inner else ()))


def _created_before(parts: Mapping[str, Template], name: str) -> set[str]:
    direct = set(parts[name].get("dependsOn", ()))
    return direct.union(*(_created_before(parts, part) for part in direct))


def _parts(templates: Templates, module: str) -> list[Template]:
    return resources_of(templates[f"modules/{module}.bicep"].template)
