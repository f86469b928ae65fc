"""Regions: what makes each a boundary of its own."""

from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot, group_of, texts_in
from tests.infra.bicep_compiler import ENVIRONMENTS

_EVERYWHERE = "global"


def test_production_has_several_regions(snapshots: Mapping[str, Snapshot]) -> None:
    """What follows is about more than one region."""
    assert len(snapshots["prod"].stamps()) == 3


def test_regions_share_nothing(snapshots: Mapping[str, Snapshot]) -> None:
    """No resource of one region names another region's resource group, nor any resource in it."""
    snapshot = snapshots["prod"]
    own = {
        stamp: {resource["id"] for resource in snapshot.resources if group_of(resource) == stamp}
        for stamp in snapshot.stamps()
    }

    for resource in snapshot.resources:
        for other in own.keys() - {group_of(resource)}:
            if group_of(resource) in own:
                assert not [text for text in texts_in(resource) if other in text or text in own[other]]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_resources_are_in_the_region_of_their_group(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """Whatever has a place is in its own region, apart from what exists without one."""
    snapshot = snapshots[environment]
    place = {
        group["name"]: group["location"] for group in snapshot.find("Microsoft.Resources/resourceGroups")
    }

    for resource in snapshot.resources:
        assert resource.get("location") in {None, _EVERYWHERE, place[group_of(resource)]}, resource["id"]


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
    routes = snapshots["prod"].find("Microsoft.Cdn/profiles/afdEndpoints/routes")
    origins = snapshots["prod"].find("Microsoft.Cdn/profiles/originGroups/origins")
    leads_to = {
        route["name"].split("/")[1]: (
            route["properties"]["patternsToMatch"],
            sorted(
                origin["name"].split("/")[-1]
                for origin in origins
                if origin["name"].split("/")[1] == route["properties"]["originGroup"]["id"].split("/")[-1]
            ),
        )
        for route in routes
    }

    assert leads_to == {
        "liveness-prod": (["/api/sessions", "/api/health"], ["neu", "sec", "weu"]),
        "liveness-prod-neu": (["/api/*"], ["neu"]),
        "liveness-prod-weu": (["/api/*"], ["weu"]),
        "liveness-prod-sec": (["/api/*"], ["sec"]),
    }


def test_front_door_sends_each_app_its_own_host_name(snapshots: Mapping[str, Snapshot]) -> None:
    """The host header is that of the origin: with another one App Service answers 404."""
    for origin in snapshots["prod"].find("Microsoft.Cdn/profiles/originGroups/origins"):
        assert origin["properties"]["originHostHeader"] == origin["properties"]["hostName"]


def test_front_door_takes_https_alone_and_keeps_nothing(snapshots: Mapping[str, Snapshot]) -> None:
    """Requests with tokens are never redirected from plain HTTP, and no answer is cached."""
    for route in snapshots["prod"].find("Microsoft.Cdn/profiles/afdEndpoints/routes"):
        assert route["properties"]["supportedProtocols"] == ["Https"]
        assert route["properties"]["forwardingProtocol"] == "HttpsOnly"
        assert "cacheConfiguration" not in route["properties"]


def test_front_door_asks_with_get(snapshots: Mapping[str, Snapshot]) -> None:
    """The functions answer 404 to HEAD, which is what Front Door probes with by default."""
    for group in snapshots["prod"].find("Microsoft.Cdn/profiles/originGroups"):
        assert group["properties"]["healthProbeSettings"]["probeRequestType"] == "GET"
        assert group["properties"]["healthProbeSettings"]["probePath"] == "/api/health"


def test_the_firewall_covers_every_endpoint(snapshots: Mapping[str, Snapshot]) -> None:
    """No endpoint is left out of the firewall, and the firewall blocks."""
    prod = snapshots["prod"]
    endpoints = {endpoint["id"] for endpoint in prod.find("Microsoft.Cdn/profiles/afdEndpoints")}
    [policy] = prod.find("Microsoft.Cdn/profiles/securityPolicies")
    [firewall] = prod.find("Microsoft.Network/FrontDoorWebApplicationFirewallPolicies")
    [association] = policy["properties"]["parameters"]["associations"]
    [limit] = [
        rule for rule in firewall["properties"]["customRules"]["rules"] if "rateLimitThreshold" in rule
    ]

    assert {domain["id"] for domain in association["domains"]} == endpoints
    assert firewall["properties"]["policySettings"]["mode"] == "Prevention"
    assert limit["groupBy"] == [{"variableName": "SocketAddr"}]
