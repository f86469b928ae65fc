"""What must hold for the ways in: the network of an isolated region, Front Door, its firewall."""

from collections.abc import Mapping

from tests.infra.bicep_compiler import THROWN_AWAY
from tests.infra.expectations import Expected, Place, Rule, absent, equal, own, present
from tests.infra.resource_types import (
    ACCOUNT,
    FIREWALL,
    NETWORK,
    ORIGIN,
    ORIGIN_GROUP,
    PRIVATE_ENDPOINT,
    PROFILE,
    PROTECTION,
    ROUTE,
    SITE,
    TOPIC,
    VAULT,
    ZONE,
    ZONE_GROUP,
    ZONE_LINK,
)

_PRIVATE = "isolated: nobody outside of the network reaches it"
_PROD = ("prod",)

# By the part of a resource that is reached: the resource, and the name of the zone that its private names are in.
TARGETS: Mapping[str, tuple[str, str]] = {
    "blob": (ACCOUNT, "privatelink.blob.*"),
    "queue": (ACCOUNT, "privatelink.queue.*"),
    "table": (ACCOUNT, "privatelink.table.*"),
    "vault": (VAULT, "privatelink.vaultcore.azure.net"),
    "topic": (TOPIC, "privatelink.eventgrid.azure.net"),
}
_CONNECTION = "properties.privateLinkServiceConnections.0.properties"


def _app_of(place: Place) -> str:
    """The app of the region whose code an origin is named after."""
    group = f"{place.group.rpartition('-')[0]}-{place.last_name}"
    return f"[{group}/stamps[{place.snapshot.stamps().index(group)}].hostName]"


def _own(kind: str) -> Expected:
    return own("the region's own", lambda place: place.id(kind))


def _in_isolation(resource: str, path: str, expected: Expected, why: str) -> Rule:
    return Rule(resource, path, expected, why, _PROD)


def _shared(resource: str, path: str, expected: Expected, why: str) -> Rule:
    return Rule(resource, path, expected, why, _PROD, shared=True)


_ISOLATION = (
    _in_isolation(
        SITE,
        "properties.virtualNetworkSubnetId",
        own("the region's own subnet", lambda place: f"[{place.group}/network.appSubnetResourceId]"),
        _PRIVATE,
    ),
    Rule(SITE, "properties.virtualNetworkSubnetId", absent(), "no network is paid for", THROWN_AWAY),
    _in_isolation(NETWORK, "properties.subnets.0.name", equal("app"), "the app calls out from there"),
    _in_isolation(
        NETWORK,
        "properties.subnets.0.properties.defaultOutboundAccess",
        equal(True),
        "Face is not in the network",
    ),
    _in_isolation(
        NETWORK,
        "properties.subnets.1.properties.defaultOutboundAccess",
        equal(False),
        "nothing calls out from there",
    ),
    _in_isolation(
        NETWORK,
        "properties.subnets.0.properties.delegations.0.properties.serviceName",
        equal("Microsoft.App/environments"),
        "what Flex Consumption asks for",
    ),
    _in_isolation(
        NETWORK, "properties.subnets.1.name", equal("private-endpoints"), "where addresses are from"
    ),
    *(
        rule
        for part, (kind, zone) in TARGETS.items()
        for rule in (
            _in_isolation(
                f"{PRIVATE_ENDPOINT}:*-{part}",
                f"{_CONNECTION}.groupIds",
                equal([part]),
                "all that is asked for",
            ),
            _in_isolation(
                f"{PRIVATE_ENDPOINT}:*-{part}",
                f"{_CONNECTION}.privateLinkServiceId",
                _own(kind),
                _PRIVATE,
            ),
            _in_isolation(
                f"{PRIVATE_ENDPOINT}:*-{part}",
                "properties.subnet.id",
                own(
                    "the region's own subnet", lambda place: f"{place.id(NETWORK)}/subnets/private-endpoints"
                ),
                _PRIVATE,
            ),
            _in_isolation(
                f"{ZONE_GROUP}:*-{part}/*",
                "properties.privateDnsZoneConfigs.0.properties.privateDnsZoneId",
                _own(f"{ZONE}:*{zone}"),
                "its usual name leads to the private address",
            ),
            _in_isolation(
                f"{ZONE_LINK}:*/*{zone}*",
                "properties.virtualNetwork.id",
                own("the region's own network", lambda place: place.id(NETWORK)),
                "the app looks names up in the zone",
            ),
        )
    ),
)

_FRONT_DOOR = (
    _shared(PROFILE, "properties.logScrubbing.state", equal("Enabled"), "its logs leave the region"),
    *(
        _shared(
            PROFILE,
            f"properties.logScrubbing.scrubbingRules.{index}",
            equal({"matchVariable": variable, "selectorMatchOperator": "EqualsAny", "state": "Enabled"}),
            "neither addresses nor session ids are kept outside of the region",
        )
        for index, variable in enumerate(("RequestIPAddress", "RequestUri", "QueryStringArgNames"))
    ),
    _shared(ORIGIN, "properties.hostName", own("the app of its region", _app_of), "a session stays there"),
    _shared(
        ORIGIN,
        "properties.originHostHeader",
        own("the app of its region", _app_of),
        "App Service answers 404 else",
    ),
    _shared(ORIGIN, "properties.enforceCertificateNameCheck", equal(True), "nobody stands in between"),
    _shared(ORIGIN, "properties.enabledState", equal("Enabled"), "it gets calls"),
    _shared(ORIGIN, "properties.httpsPort", equal(443), "where apps answer"),
    _shared(ROUTE, "properties.supportedProtocols", equal(["Https"]), "tokens travel in headers"),
    _shared(ROUTE, "properties.httpsRedirect", equal("Disabled"), "the first call had its token in the open"),
    _shared(ROUTE, "properties.forwardingProtocol", equal("HttpsOnly"), "tokens travel in headers"),
    _shared(ROUTE, "properties.cacheConfiguration", absent(), "no answer is kept"),
    _shared(ROUTE, "properties.enabledState", equal("Enabled"), "phones call it"),
    _shared(
        f"{ORIGIN_GROUP}:all-regions",
        "properties.healthProbeSettings.probePath",
        equal("/api/health"),
        "free",
    ),
    _shared(
        f"{ORIGIN_GROUP}:all-regions",
        "properties.healthProbeSettings.probeRequestType",
        equal("GET"),
        "the functions answer 404 to HEAD",
    ),
    _shared(
        f"{ORIGIN_GROUP}:all-regions",
        "properties.healthProbeSettings.probeProtocol",
        equal("Https"),
        "all else is refused",
    ),
    _shared(
        f"{ORIGIN_GROUP}:region-*",
        "properties.healthProbeSettings",
        absent(),
        "the one origin is asked anyway, and probes from everywhere would be most of its calls",
    ),
)

_RULES_OF_FIREWALL = "properties.customRules.rules"
_FIREWALL = (
    _shared(FIREWALL, "properties.policySettings.enabledState", equal("Enabled"), "it looks"),
    _shared(FIREWALL, "properties.policySettings.mode", equal("Prevention"), "it blocks"),
    _shared(
        FIREWALL,
        "properties.policySettings.logScrubbing.state",
        equal("Enabled"),
        "its logs leave the region",
    ),
    *(
        _shared(
            FIREWALL,
            f"properties.policySettings.logScrubbing.scrubbingRules.{index}",
            equal({"matchVariable": variable, "selectorMatchOperator": "EqualsAny", "state": "Enabled"}),
            "neither addresses nor session ids are kept outside of the region",
        )
        for index, variable in enumerate(("RequestIPAddress", "RequestUri"))
    ),
    _shared(FIREWALL, f"{_RULES_OF_FIREWALL}.0.enabledState", equal("Enabled"), "no other methods"),
    _shared(FIREWALL, f"{_RULES_OF_FIREWALL}.0.action", equal("Block"), "no other methods"),
    _shared(
        FIREWALL,
        f"{_RULES_OF_FIREWALL}.0.matchConditions",
        equal(
            [
                {
                    "matchVariable": "RequestMethod",
                    "operator": "Equal",
                    "negateCondition": True,
                    "matchValue": ["GET", "POST", "DELETE"],
                }
            ]
        ),
        "those of the contract, and no others",
    ),
    _shared(FIREWALL, f"{_RULES_OF_FIREWALL}.1.enabledState", equal("Enabled"), "a flood ends here"),
    _shared(FIREWALL, f"{_RULES_OF_FIREWALL}.1.ruleType", equal("RateLimitRule"), "a flood ends here"),
    _shared(FIREWALL, f"{_RULES_OF_FIREWALL}.1.action", equal("Block"), "a flood ends here"),
    _shared(FIREWALL, f"{_RULES_OF_FIREWALL}.1.rateLimitThreshold", equal(300), "a flood ends here"),
    _shared(FIREWALL, f"{_RULES_OF_FIREWALL}.1.rateLimitDurationInMinutes", equal(1), "a flood ends here"),
    _shared(
        FIREWALL,
        f"{_RULES_OF_FIREWALL}.1.groupBy",
        equal([{"variableName": "SocketAddr"}]),
        "the other variable believes X-Forwarded-For",
    ),
    _shared(
        FIREWALL,
        f"{_RULES_OF_FIREWALL}.1.matchConditions",
        equal([{"matchVariable": "RequestUri", "operator": "Contains", "matchValue": ["/api/"]}]),
        "every call counts",
    ),
    _shared(FIREWALL, f"{_RULES_OF_FIREWALL}.2", absent(), "no rule lets anybody by"),
    _shared(
        PROTECTION,
        "properties.parameters.wafPolicy.id",
        own("the firewall", lambda place: place.id(FIREWALL)),
        "it is in front",
    ),
    _shared(
        PROTECTION,
        "properties.parameters.associations.0.patternsToMatch",
        equal(["/*"]),
        "every path is covered",
    ),
    _shared(PROTECTION, "properties.parameters.associations.0.domains", present(), "endpoints are covered"),
)

RULES = (*_ISOLATION, *_FRONT_DOOR, *_FIREWALL)
