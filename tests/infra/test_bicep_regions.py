"""Regions: what makes each a boundary of its own."""

from collections.abc import Iterator, Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot, group_of, plain, read, texts_in
from tests.infra.bicep_compiler import ENVIRONMENTS
from tests.infra.resource_types import ENDPOINT, GROUP, ORIGIN, ORIGIN_GROUP, PROTECTION, ROUTE, SITE

_EVERYWHERE = "global"


def test_production_has_several_regions(snapshots: Mapping[str, Snapshot]) -> None:
    """What follows is about more than one region."""
    assert len(snapshots["prod"].stamps()) == 3


def test_regions_share_nothing(snapshots: Mapping[str, Snapshot]) -> None:
    """No resource of one region names another region's resource group, nor any resource in it."""
    assert list(_shared(snapshots["prod"])) == []


def test_what_regions_would_share_is_noticed(snapshots: Mapping[str, Snapshot]) -> None:
    """An app that is sent to another region's vault, identity, or whatever else, is found."""
    prod = snapshots["prod"]
    first, other, _ = prod.stamps()
    [app] = prod.find(SITE, first)

    for resource in prod.resources:
        if group_of(resource) == other:
            assert list(_shared(prod.changed(app, "properties.somewhere", f"at {resource['id']}")))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_resources_are_in_the_region_of_their_group(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """Whatever has a place is in its own region, apart from what exists without one."""
    assert list(_misplaced(snapshots[environment])) == []


def test_a_resource_elsewhere_is_noticed(snapshots: Mapping[str, Snapshot]) -> None:
    """Each of them, also where it is another region of the same environment."""
    prod = snapshots["prod"]

    for resource in prod.resources:
        if resource.get("location") in {"northeurope", "westeurope"} and resource["type"] != GROUP:
            assert list(_misplaced(prod.changed(resource, "location", "swedencentral"))) == [resource["id"]]


def test_global_resources_hold_no_data(snapshots: Mapping[str, Snapshot]) -> None:
    """What is shared or nowhere in particular is Front Door, its firewall, names, and who hears of alerts."""
    kinds = {
        resource["type"]
        for resource in snapshots["prod"].resources
        if resource.get("location") == _EVERYWHERE
    }

    assert kinds == {
        "Microsoft.Cdn/profiles",
        "Microsoft.Cdn/profiles/afdEndpoints",
        "Microsoft.Insights/actionGroups",
        "Microsoft.Insights/metricAlerts",
        "Microsoft.Network/FrontDoorWebApplicationFirewallPolicies",
        "Microsoft.Network/privateDnsZones",
        "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    }


def test_front_door_is_off_where_it_is_not_asked_for(snapshots: Mapping[str, Snapshot]) -> None:
    """An environment that says nothing about Front Door gets none, and no resource group for it."""
    dev = snapshots["dev"]

    assert not [resource for resource in dev.resources if resource["type"].startswith("Microsoft.Cdn")]
    assert len(dev.find("Microsoft.Resources/resourceGroups")) == len(dev.stamps())


def test_front_door_sends_only_new_sessions_to_any_region(snapshots: Mapping[str, Snapshot]) -> None:
    """Results are asked for through the endpoint of the region that made the session, which leads nowhere else."""
    assert _routes(snapshots["prod"]) == ROUTES


def test_another_route_is_noticed(snapshots: Mapping[str, Snapshot]) -> None:
    """One that is missing, leads elsewhere, or takes more paths."""
    prod = snapshots["prod"]
    groups = [group["id"] for group in prod.find(ORIGIN_GROUP)]

    for route in prod.find(ROUTE):
        assert _routes(prod.replaced(route)) != ROUTES
        assert _routes(prod.changed(route, "properties.patternsToMatch", ["/*"])) != ROUTES
        for group in groups:
            changed = prod.changed(route, "properties.originGroup.id", group)
            assert (_routes(changed) == ROUTES) is (group == route["properties"]["originGroup"]["id"])
    for origin in prod.find(ORIGIN):
        assert _routes(prod.replaced(origin)) != ROUTES


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ("dev", "rg-liveness-dev-weu/stamps[0].hostName"),
        ("prod", "rg-liveness-prod-global/profile.regionHostNames[0]"),
    ],
)
def test_the_broker_is_called_where_it_lets_callers_in(
    snapshots: Mapping[str, Snapshot], environment: str, place: str
) -> None:
    """Behind Front Door the app itself refuses everybody else, and so does its own name."""
    outputs = snapshots[environment].outputs

    assert plain(outputs["BROKER_URL"]) == f"[format('https://{{0}}', {place})]"
    assert f"'hostName', {place}" in plain(outputs["stamps"])


def test_the_firewall_covers_every_endpoint(snapshots: Mapping[str, Snapshot]) -> None:
    """No endpoint is left out of the firewall."""
    assert _uncovered(snapshots["prod"]) == set()


def test_an_endpoint_without_firewall_is_noticed(snapshots: Mapping[str, Snapshot]) -> None:
    """Each of them."""
    [policy] = snapshots["prod"].find(PROTECTION)
    path = "properties.parameters.associations.0.domains"

    for domain in read(policy, path):
        left = [other for other in read(policy, path) if other != domain]
        assert _uncovered(snapshots["prod"].changed(policy, path, left)) == {domain["id"]}


ROUTES = {
    "liveness-prod": (["/api/sessions", "/api/health"], ["neu", "sec", "weu"]),
    "liveness-prod-neu": (["/api/*"], ["neu"]),
    "liveness-prod-weu": (["/api/*"], ["weu"]),
    "liveness-prod-sec": (["/api/*"], ["sec"]),
}
"""By endpoint: the paths that it takes, and the regions that it leads to."""


def _shared(snapshot: Snapshot) -> Iterator[str]:
    own = {
        stamp: {resource["id"] for resource in snapshot.resources if group_of(resource) == stamp}
        for stamp in snapshot.stamps()
    }
    for resource in snapshot.resources:
        if (group := group_of(resource)) in own:
            for other in own.keys() - {group}:
                yield from (text for text in texts_in(resource) if other in text or text in own[other])


def _misplaced(snapshot: Snapshot) -> Iterator[str]:
    place = {group["name"]: group["location"] for group in snapshot.find(GROUP)}
    for resource in snapshot.resources:
        if resource.get("location") not in {None, _EVERYWHERE, place[group_of(resource)]}:
            yield resource["id"]


def _routes(snapshot: Snapshot) -> dict[str, tuple[list[str], list[str]]]:
    return {
        route["name"].split("/")[1]: (
            route["properties"]["patternsToMatch"],
            sorted(
                origin["name"].split("/")[-1]
                for origin in snapshot.find(ORIGIN)
                if origin["name"].split("/")[1] == route["properties"]["originGroup"]["id"].split("/")[-1]
            ),
        )
        for route in snapshot.find(ROUTE)
    }


def _uncovered(snapshot: Snapshot) -> set[str]:
    [policy] = snapshot.find(PROTECTION)
    [association] = policy["properties"]["parameters"]["associations"]
    covered = {domain["id"] for domain in association["domains"]}
    return {endpoint["id"] for endpoint in snapshot.find(ENDPOINT)} - covered
