"""`modules/front-door.bicep`: which endpoint leads to which region, and the firewall in front of all of them."""

from collections import defaultdict
from collections.abc import Mapping

from tests.infra.arm_snapshot import Snapshot, plain
from tests.infra.rules import ENDPOINT, GROUP, ORIGIN, PROTECTION, ROUTE

ROUTES = {
    "liveness-prod": (["/api/sessions", "/api/health"], ["neu", "sec", "weu"]),
    "liveness-prod-neu": (["/api/*"], ["neu"]),
    "liveness-prod-weu": (["/api/*"], ["weu"]),
    "liveness-prod-sec": (["/api/*"], ["sec"]),
}
"""For each endpoint: its paths, and the regions that it leads to."""


def test_front_door_is_off_by_default(snapshots: Mapping[str, Snapshot]) -> None:
    """An environment that does not ask for Front Door gets none, and no resource group for it."""
    dev = snapshots["dev"]

    assert not [resource for resource in dev.resources if resource["type"].startswith("Microsoft.Cdn")]
    assert len(dev.find(GROUP)) == len(dev.region_groups())


def test_front_door_sends_only_new_sessions_to_any_region(snapshots: Mapping[str, Snapshot]) -> None:
    """A result is read through the endpoint of the region that created the session."""
    prod = snapshots["prod"]
    regions: dict[str, list[str]] = defaultdict(list)
    for origin in prod.find(ORIGIN):
        _, group, code = origin["name"].split("/")
        regions[group].append(code)
    routes = {
        route["name"].split("/")[1]: (
            route["properties"]["patternsToMatch"],
            sorted(regions[route["properties"]["originGroup"]["id"].split("/")[-1]]),
        )
        for route in prod.find(ROUTE)
    }

    assert routes == ROUTES


def test_the_broker_url_is_the_one_that_callers_can_use(snapshots: Mapping[str, Snapshot]) -> None:
    """Behind Front Door the app refuses calls that come to its own name."""
    hosts = {
        "dev": "rg-liveness-dev-weu/stamps[0].hostName",
        "prod": "rg-liveness-prod-global/profile.regionHostNames[0]",
    }
    for environment, host in hosts.items():
        outputs = snapshots[environment].outputs
        assert plain(outputs["BROKER_URL"]) == f"[format('https://{{0}}', {host})]"
        assert f"'hostName', {host}" in plain(outputs["stamps"])


def test_the_firewall_covers_every_endpoint(snapshots: Mapping[str, Snapshot]) -> None:
    """An endpoint that is left out would let any call through."""
    [policy] = snapshots["prod"].find(PROTECTION)
    [association] = policy["properties"]["parameters"]["associations"]
    endpoints = {endpoint["id"] for endpoint in snapshots["prod"].find(ENDPOINT)}

    assert {domain["id"] for domain in association["domains"]} == endpoints
