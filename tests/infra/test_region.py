"""`region.bicep`: a region is a boundary of its own, and its parts are created in the right order."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from shared.queues.port import RESULTS_QUEUE
from shared.storage.port import Table
from tests.infra.arm_snapshot import Snapshot, Template, group_of, nested, resources_of, texts_in
from tests.infra.bicep_compiler import ENVIRONMENTS, Compiled
from tests.infra.rules import ACCOUNT, GROUP, QUEUES, SITE

_EVERYWHERE = "global"
_ROLE = "Microsoft.Authorization/roleAssignments"
_PEPPER = "keyVault::idPepper"


def created_too_late(region: Template) -> list[str]:
    """The parts of a region that its app, and the example subscription, need and do not wait for."""
    parts: Mapping[str, Template] = region["resources"]
    [app] = [name for name, part in parts.items() if SITE in _types(part)]
    needed = {name for name, part in parts.items() if _ROLE in _types(part)} | {"secrets", "storage"}
    waiting = {app: needed, "subscription_example": {app}}
    return [
        f"{name} must depend on {part}"
        for name, before in waiting.items()
        for part in sorted(before - _created_before(parts, name))
    ]


def written_in_the_wrong_way(secrets: Template) -> list[str]:
    """With a new pepper all devices would be new devices, without their limits; a new key of Face must be written."""
    return [
        f"{name} must {'' if name == _PEPPER else 'not '}be onlyIfNotExists"
        for name, part in secrets["resources"].items()
        if (part.get("@options") == {"onlyIfNotExists": []}) is not (name == _PEPPER)
    ]


def created_at_once(network: Template) -> list[str]:
    """A storage account accepts one change of its connections at a time, and has three private endpoints."""
    loops = [(name, part["copy"]) for name, part in network["resources"].items() if "copy" in part]
    return [f"{name} must have batchSize(1)" for name, loop in loops if loop.get("mode") != "serial"]


def changed_at_once(app: Template) -> list[str]:
    """App Service may answer 409 to a change of an app while another one is under way."""
    parts: Mapping[str, Template] = app["resources"]
    children = [name for name, part in parts.items() if part["type"].startswith(f"{SITE}/")]
    return [
        f"{one} and {other} must not be changed at once"
        for number, one in enumerate(sorted(children))
        for other in sorted(children)[number + 1 :]
        if one not in _created_before(parts, other) and other not in _created_before(parts, one)
    ]


def tried_once(subscription: Template) -> list[str]:
    """Event Grid checks the roles of its identity, which can take minutes to reach the storage account."""
    [part] = [part for part in resources_of(subscription) if part["type"].endswith("/eventSubscriptions")]
    return [] if "retryOn" in part.get("@options", {}) else ["the subscription must have retryOn"]


ORDER: Mapping[str, Callable[[Template], list[str]]] = {
    "region.bicep": created_too_late,
    "modules/secrets.bicep": written_in_the_wrong_way,
    "modules/network.bicep": created_at_once,
    "modules/function-app.bicep": changed_at_once,
    "modules/event-subscription.bicep": tried_once,
}
"""The checks of the order in which templates create their parts; each returns the faults of a template."""


@pytest.mark.parametrize("file", ORDER)
def test_parts_are_created_in_the_right_order(templates: Mapping[str, Compiled], file: str) -> None:
    """The app has its roles and secrets when it starts, and a new deployment keeps the pepper."""
    assert ORDER[file](templates[file].template) == []


def test_regions_share_nothing(snapshots: Mapping[str, Snapshot], templates: Mapping[str, Compiled]) -> None:
    """No resource of one region names another region's resource group, nor any resource in it."""
    prod = snapshots["prod"]
    first, other, _ = prod.region_groups()
    [app] = prod.find(SITE, first)

    assert list(_shared(prod)) == []
    for resource in prod.resources:
        if group_of(resource) == other:
            assert list(_shared(prod.changed(app, "properties.somewhere", f"at {resource['id']}")))
    for template in nested(templates["region.bicep"].template):
        assert "resourceGroup" not in str(template.get("resources")).replace("resourceGroup()", "")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_resources_are_in_the_region_of_their_group(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """Each resource is in the region of its resource group, unless it is global. Another region is found."""
    snapshot = snapshots[environment]
    places = {"uksouth", *(group["location"] for group in snapshot.find(GROUP))}

    assert list(_misplaced(snapshot)) == []
    for resource in snapshot.resources:
        if resource.get("location") in places and resource["type"] != GROUP:
            for elsewhere in places - {resource["location"]}:
                moved = snapshot.changed(resource, "location", elsewhere)
                assert list(_misplaced(moved)) == [resource["id"]]


def test_global_resources_hold_no_data(snapshots: Mapping[str, Snapshot]) -> None:
    """Front Door, its firewall, private DNS names and alerts are global, and nothing else is."""
    kinds = {one["type"] for one in snapshots["prod"].resources if one.get("location") == _EVERYWHERE}

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


def _shared(snapshot: Snapshot) -> Iterator[str]:
    own = {
        group: {resource["id"] for resource in snapshot.resources if group_of(resource) == group}
        for group in snapshot.region_groups()
    }
    for resource in snapshot.resources:
        if (group := group_of(resource)) in own:
            for other in own.keys() - {group}:
                yield from (text for text in texts_in(resource) if other in text or text in own[other])


def _misplaced(snapshot: Snapshot) -> Iterator[str]:
    regions = {group["name"]: group["location"] for group in snapshot.find(GROUP)}
    for resource in snapshot.resources:
        if resource.get("location") not in {None, _EVERYWHERE, regions[group_of(resource)]}:
            yield resource["id"]
