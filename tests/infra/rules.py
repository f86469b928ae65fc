"""The rules that hold in every region, by the module under `infra/bicep/modules/` that they are about."""

import re
from collections.abc import Callable, Mapping

from tests.infra.arm_snapshot import ABSENT
from tests.infra.bicep_compiler import DEVELOPMENT, REQUIRED_VARIABLES
from tests.infra.queries import ALERTS
from tests.infra.rule import Place, Row, Rule, id_of, name_of, output, rules_for

GROUP = "Microsoft.Resources/resourceGroups"
ACCOUNT = "Microsoft.Storage/storageAccounts"
CONTAINERS = f"{ACCOUNT}/blobServices/containers"
QUEUES = f"{ACCOUNT}/queueServices/queues"
SITE = "Microsoft.Web/sites"
SETTINGS = f"{SITE}/config:appsettings"
PLAN = "Microsoft.Web/serverfarms"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
VAULT = "Microsoft.KeyVault/vaults"
SECRETS = f"{VAULT}/secrets"
FACE = "Microsoft.CognitiveServices/accounts"
TOPIC = "Microsoft.EventGrid/topics"
INSIGHTS = "Microsoft.Insights/components"
_WORKSPACES = "Microsoft.OperationalInsights/workspaces"
WORKSPACE = f"{_WORKSPACES}:log-liveness-*"
AUDIT_WORKSPACE = f"{_WORKSPACES}:log-audit-*"
ACTION_GROUP = "Microsoft.Insights/actionGroups"
METRIC_ALERT = "Microsoft.Insights/metricAlerts"
WEB_TEST = "Microsoft.Insights/webtests"
BUDGET = "Microsoft.Consumption/budgets"
NETWORK = "Microsoft.Network/virtualNetworks"
OUTBOUND = "Microsoft.Network/networkSecurityGroups"
PRIVATE_ENDPOINT = "Microsoft.Network/privateEndpoints"
ZONE = "Microsoft.Network/privateDnsZones"
PROFILE = "Microsoft.Cdn/profiles"
ENDPOINT = f"{PROFILE}/afdEndpoints"
ROUTE = f"{ENDPOINT}/routes"
ORIGIN_GROUP = f"{PROFILE}/originGroups"
ORIGIN = f"{ORIGIN_GROUP}/origins"
PROTECTION = f"{PROFILE}/securityPolicies"
FIREWALL = "Microsoft.Network/FrontDoorWebApplicationFirewallPolicies"

_PROD = ("prod",)
_HEARD = "an operator must hear of it"
_NO_KEYS = "a leaked key must open nothing"
_RESIDENCY = "biometric data stays in its region"
_PRIVATE = "only the private network may reach it"
_NEW_TLS = "TLS 1.2 is the oldest version that is safe"
_HTTPS = "tokens travel in headers"


# modules/alerts.bicep
_EACH_ROW = "each row of the query is an alert"
_DEAD_LETTER = "a subscriber accepts no events"


def _deployed_query(name: str, query: str) -> Callable[[Place], str]:
    """The query with what the template sets in it."""

    def deployed(place: Place) -> str:
        if name == "table-written-by-others":
            # The object id is known only at deployment: the snapshot has the expression that sets it.
            text = query.replace("'", "''")
            return f"[replace('{text}', 'APP_PRINCIPAL_ID', {place.group}/identity.principalId)]"
        [workspace] = place.snapshot.find(WORKSPACE, place.group)
        quota = workspace["properties"]["workspaceCapping"]["dailyQuotaGb"]
        return query.replace("DAILY_QUOTA_GB", str(quota))

    return deployed


def _log_alert(name: str, query: str) -> tuple[Rule, ...]:
    workspace = AUDIT_WORKSPACE if re.search("^Storage", query, re.MULTILINE) else WORKSPACE
    return rules_for(
        f"Microsoft.Insights/scheduledQueryRules:{name}",
        ("enabled", True, _HEARD),
        ("criteria.allOf.0.query", _deployed_query(name, query), "the file is deployed"),
        ("criteria.allOf.0.threshold", 0, _EACH_ROW),
        ("scopes", lambda place: [place.id(workspace)], "it reads the region's own logs"),
        ("actions.actionGroups", lambda place: [place.id(ACTION_GROUP)], _HEARD),
    )


def _metric_alert(name: str) -> tuple[Rule, ...]:
    return rules_for(
        f"{METRIC_ALERT}:{name}",
        ("enabled", True, _HEARD),
        ("scopes", lambda place: [place.id(TOPIC)], _DEAD_LETTER),
        ("actions", lambda place: [{"actionGroupId": place.id(ACTION_GROUP)}], _HEARD),
    )


def _health_of_the_region(place: Place) -> str:
    return f"[format('{{0}}/api/health', {_url_of_the_region(place)[1:-1]})]"


_PROBED = "an app that is down writes no logs"
_PUBLIC_CLOUD = (
    "condition",
    "[and(true(), equals(environment().name, 'AzureCloud'))]",
    "other clouds have other places to probe from",
)
_ALERTS = (
    *(rule for alert in ALERTS.items() for rule in _log_alert(*alert)),
    *(
        rule
        for name in ("dead-letters", "dropped-events", "delivery-failures")
        for rule in _metric_alert(name)
    ),
    *rules_for(
        ACTION_GROUP,
        ("enabled", True, _HEARD),
        ("emailReceivers.0.emailAddress", REQUIRED_VARIABLES["BROKER_ALERT_EMAIL"], _HEARD, _PROD),
    ),
    *rules_for(
        WEB_TEST,
        _PUBLIC_CLOUD,
        ("Enabled", True, _PROBED),
        ("Request.RequestUrl", _health_of_the_region, "Front Door would answer for another region"),
        ("Request.HttpVerb", "GET", "the functions answer 404 to HEAD"),
        environments=_PROD,
    ),
    *rules_for(
        f"{METRIC_ALERT}:health",
        _PUBLIC_CLOUD,
        ("enabled", True, _HEARD),
        ("scopes", lambda place: [place.id(WEB_TEST), place.id(INSIGHTS)], _PROBED),
        ("criteria.webTestId", id_of(WEB_TEST), _PROBED),
        ("criteria.componentId", id_of(INSIGHTS), _PROBED),
        ("actions", lambda place: [{"actionGroupId": place.id(ACTION_GROUP)}], _HEARD),
        environments=_PROD,
    ),
)

# modules/monitoring.bicep and modules/workbook.bicep
_MONITORING = (
    *rules_for("Microsoft.Insights/workbooks", ("sourceId", id_of(WORKSPACE), "it shows its own region")),
    *rules_for(
        INSIGHTS,
        ("DisableLocalAuth", True, _NO_KEYS),
        ("WorkspaceResourceId", id_of(WORKSPACE), "logs stay in their region"),
    ),
    *rules_for(
        _WORKSPACES,
        ("features.disableLocalAuth", True, _NO_KEYS),
        ("workspaceCapping.dailyQuotaGb", 5, "a loop of errors must not cost without limit", _PROD),
    ),
    *(
        rule
        for part, workspace, categories, why in (
            ("vaults", AUDIT_WORKSPACE, "AuditEvent", "the log says who read the key"),
            (
                "queueServices",
                AUDIT_WORKSPACE,
                "StorageWrite StorageDelete",
                "an alert looks for poison messages",
            ),
            (
                "tableServices",
                AUDIT_WORKSPACE,
                "StorageWrite StorageDelete",
                "the log says who wrote to a record",
            ),
            (
                "topics",
                WORKSPACE,
                "DeliveryFailures PublishFailures",
                "the log says why an event did not arrive",
            ),
        )
        for rule in rules_for(
            f"Microsoft.Insights/diagnosticSettings:*/{part}/*",
            ("workspaceId", id_of(workspace), "logs stay in their region"),
            ("logs", [{"category": one, "enabled": True} for one in categories.split()], why),
        )
    ),
)

# modules/event-topic.bicep and modules/event-subscription.bicep
_TYPES = ["liveness.session.completed", "liveness.session.expired", "liveness.session.erased"]
_DELIVERY = "deliveryWithResourceIdentity"
_LETTERS = "deadLetterWithResourceIdentity"
_DROPPED = "without it, an event that cannot be delivered is dropped"
_EVENTS = (
    *rules_for(
        TOPIC,
        ("inputSchema", "CloudEventSchemaV1_0", "the broker publishes it, and it can never be changed"),
        ("dataResidencyBoundary", "WithinRegion", _RESIDENCY),
        ("disableLocalAuth", True, _NO_KEYS),
        ("minimumTlsVersionAllowed", "1.2", _NEW_TLS),
        ("publicNetworkAccess", "Disabled", _PRIVATE, _PROD),
        ("identity.type", "SystemAssigned", "it delivers events and dead letters without keys"),
    ),
    *rules_for(
        f"{TOPIC}/eventSubscriptions:results-to-queue",
        ("eventDeliverySchema", "CloudEventSchemaV1_0", "events arrive as they were published"),
        ("filter.includedEventTypes", _TYPES, "a subscriber has to know each of these"),
        (f"{_DELIVERY}.identity.type", "SystemAssigned", _NO_KEYS),
        (f"{_DELIVERY}.destination.properties.resourceId", id_of(ACCOUNT), _RESIDENCY),
        (f"{_LETTERS}.identity.type", "SystemAssigned", _NO_KEYS),
        (f"{_LETTERS}.deadLetterDestination.properties.resourceId", id_of(ACCOUNT), _RESIDENCY),
        (f"{_LETTERS}.deadLetterDestination.properties.blobContainerName", "dead-letters", _DROPPED),
        environments=DEVELOPMENT,
    ),
)

# modules/face.bicep
_FACE = rules_for(
    FACE,
    ("kind", "Face", "the broker calls Face"),
    ("sku.name", "S0", "the free tier allows too few calls", _PROD),
    ("customSubDomainName", name_of(FACE), "Entra needs it; it cannot be changed"),
    ("disableLocalAuth", False, "the app calls it with a key in these environments"),
    ("publicNetworkAccess", "Enabled", "phones call it"),
    ("networkAcls", {"defaultAction": "Allow"}, "phones call it from anywhere"),
)


# modules/front-door.bicep
def _app_of_the_region(place: Place) -> str:
    """The host name of the app; an origin is named after the code of its region."""
    group = f"{place.group.rpartition('-')[0]}-{place.resource['name'].split('/')[-1]}"
    return f"[{group}/stamps[{place.snapshot.region_groups().index(group)}].hostName]"


def _shared_rules(resource: str, *rows: Row) -> tuple[Rule, ...]:
    """The rules about a resource that all regions of production share."""
    return rules_for(resource, *rows, environments=_PROD, shared=True)


def _scrubbing(path: str, *variables: str) -> tuple[Row, ...]:
    why = "addresses and session ids must not leave the region in logs"
    rule = {"selectorMatchOperator": "EqualsAny", "state": "Enabled"}
    return (
        (f"{path}.state", "Enabled", why),
        *(
            (f"{path}.scrubbingRules.{index}", {"matchVariable": variable, **rule}, why)
            for index, variable in enumerate(variables)
        ),
    )


_OTHER_METHOD = {"matchVariable": "RequestMethod", "operator": "Equal", "negateCondition": True}
_METHODS = {**_OTHER_METHOD, "matchValue": ["GET", "HEAD", "POST", "DELETE", "OPTIONS"]}
_EVERY_CALL = {
    "matchVariable": "RequestHeader",
    "selector": "Host",
    "operator": "GreaterThanOrEqual",
    "matchValue": ["0"],
}
_FLOOD = "a flood must end here"
_REACHED = "a region that Front Door does not reach gets no new sessions"
_FRONT_DOOR = (
    *_shared_rules(
        PROFILE, *_scrubbing("logScrubbing", "RequestIPAddress", "RequestUri", "QueryStringArgNames")
    ),
    *_shared_rules(
        ORIGIN,
        ("hostName", _app_of_the_region, "a session stays in its region"),
        ("originHostHeader", _app_of_the_region, "App Service answers 404 to another name"),
        ("enforceCertificateNameCheck", True, "nobody can pose as the app"),
    ),
    *_shared_rules(
        ROUTE,
        ("supportedProtocols", ["Https"], _HTTPS),
        ("httpsRedirect", "Disabled", "a redirected call has sent its token unencrypted already"),
        ("forwardingProtocol", "HttpsOnly", _HTTPS),
        ("cacheConfiguration", ABSENT, "responses must not be cached"),
    ),
    *_shared_rules(
        f"{ORIGIN_GROUP}:all-regions",
        ("healthProbeSettings.probePath", "/api/health", "it calls nothing that costs"),
    ),
    *_shared_rules(
        f"{ORIGIN_GROUP}:region-*",
        ("healthProbeSettings", ABSENT, "it has one origin, and probes would be most of its calls"),
    ),
    *_shared_rules(
        f"{METRIC_ALERT}:origin-health",
        ("enabled", True, _HEARD),
        ("scopes", lambda place: [place.id(PROFILE)], _REACHED),
        ("actions", lambda place: [{"actionGroupId": place.id(ACTION_GROUP)}], _HEARD),
    ),
    *_shared_rules(
        FIREWALL,
        ("policySettings.enabledState", "Enabled", "it inspects calls"),
        ("policySettings.mode", "Prevention", "it blocks, and does not only log"),
        *_scrubbing("policySettings.logScrubbing", "RequestIPAddress", "RequestUri"),
        ("customRules.rules.0.enabledState", "Enabled", "other methods are blocked"),
        ("customRules.rules.0.action", "Block", "other methods are blocked"),
        ("customRules.rules.0.matchConditions", [_METHODS], "the public contract has these methods alone"),
        ("customRules.rules.1.enabledState", "Enabled", _FLOOD),
        ("customRules.rules.1.ruleType", "RateLimitRule", _FLOOD),
        ("customRules.rules.1.action", "Block", _FLOOD),
        ("customRules.rules.1.groupBy", [{"variableName": "SocketAddr"}], "a caller writes X-Forwarded-For"),
        ("customRules.rules.1.matchConditions", [_EVERY_CALL], "the host takes /API/ and /%61pi/ too"),
        ("customRules.rules.2", ABSENT, "no further rule lets a call pass"),
    ),
    *_shared_rules(
        PROTECTION,
        ("parameters.wafPolicy.id", id_of(FIREWALL), "the firewall inspects the calls"),
        ("parameters.associations.0.patternsToMatch", ["/*"], "the firewall covers every path"),
    ),
)

# modules/function-app.bicep
#
# Settings: https://learn.microsoft.com/azure/azure-functions/functions-app-settings, "Flex Consumption plan
# deprecations". Properties: what the platform was seen to answer 400 to (Azure/azure-cli issue 31414 and the like).
_REFUSED_SETTINGS = """
    ENABLE_ORYX_BUILD FUNCTIONS_EXTENSION_VERSION FUNCTIONS_WORKER_PROCESS_COUNT FUNCTIONS_WORKER_RUNTIME
    FUNCTIONS_WORKER_RUNTIME_VERSION FUNCTIONS_MAX_HTTP_CONCURRENCY SCM_DO_BUILD_DURING_DEPLOYMENT TZ
    WEBSITE_CONTENTAZUREFILECONNECTIONSTRING WEBSITE_CONTENTOVERVNET WEBSITE_CONTENTSHARE WEBSITE_DNS_SERVER
    WEBSITE_LOAD_CERTIFICATES WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT WEBSITE_RUN_FROM_PACKAGE
    WEBSITE_SKIP_CONTENTSHARE_VALIDATION WEBSITE_TIME_ZONE WEBSITE_USE_PLACEHOLDER WEBSITE_VNET_ROUTE_ALL
"""
_REFUSED_PROPERTIES = """
    siteConfig.alwaysOn siteConfig.appSettings siteConfig.ftpsState siteConfig.functionAppScaleLimit
    siteConfig.linuxFxVersion siteConfig.netFrameworkVersion siteConfig.preWarmedInstanceCount
    siteConfig.pythonVersion siteConfig.use32BitWorkerProcess containerSize endToEndEncryptionEnabled isReserved
"""
_ENTRA_TOKENS = "packages are published with Entra tokens"
_FLEX_REFUSES = "Flex Consumption answers 400, or ignores it"
_HAS_ROLES = "this identity has the roles"
_WHICH_IDENTITY = "the host must know which user-assigned identity to use"
_PACKAGE = "functionAppConfig.deployment.storage"
_SCALE = "functionAppConfig.scaleAndConcurrency"
_ACCESS = "siteConfig.ipSecurityRestrictions"
_SCM = "siteConfig.scmIpSecurityRestrictions"
_PUBLISHING = "an identity that can publish a package can read the key"
_OWN_FRONT_DOOR = "anybody can have a Front Door: only ours may call"
_CLIENT = REQUIRED_VARIABLES["BROKER_AUTH_CLIENT_ID"]
_ISSUER = REQUIRED_VARIABLES["BROKER_AUTH_ISSUER"]


def _client_id(place: Place) -> str:
    return f"reference({place.id(IDENTITY)}).clientId"


def _insights_login(place: Place) -> str:
    return f"[format('ClientId={{0}};Authorization=AAD', {_client_id(place)})]"


def _package_container(place: Place) -> str:
    return f"[format('{{0}}packages', reference({place.id(ACCOUNT)}).primaryEndpoints.blob)]"


def _only_our_front_door(place: Place) -> object:
    allowed = {"name": "front-door", "priority": 100, "action": "Allow", "tag": "ServiceTag"}
    calls = {
        **allowed,
        "ipAddress": "AzureFrontDoor.Backend",
        "headers": {"x-azure-fdid": [_front_door_id(place)]},
    }
    probes = {"name": "front-door-probes", "priority": 110, "headers": {"x-fd-healthprobe": ["1"]}}
    return [calls, {**calls, **probes}]


def _front_door_id(place: Place) -> str:
    return f"[{place.shared_group}/profile.frontDoorId]"


def _url_of_the_region(place: Place) -> str:
    number = place.snapshot.region_groups().index(place.group)
    return f"[format('https://{{0}}', {place.shared_group}/profile.regionHostNames[{number}])]"


_FUNCTION_APP = (
    *rules_for(
        PLAN,
        ("sku.tier", "FlexConsumption", "all other settings are for this plan"),
        ("zoneRedundant", True, "production survives the loss of a zone", _PROD),
    ),
    *rules_for(
        SITE,
        ("serverFarmId", id_of(PLAN), "each app has its own plan"),
        ("identity.type", "UserAssigned", "its roles can exist before the app does"),
        ("identity.userAssignedIdentities", lambda place: {place.id(IDENTITY): {}}, _HAS_ROLES),
        ("httpsOnly", True, _HTTPS),
        ("siteConfig.minTlsVersion", "1.2", _NEW_TLS),
        (f"{_PACKAGE}.value", _package_container, "the package lies in the region's own account"),
        (f"{_PACKAGE}.authentication.type", "UserAssignedIdentity", _NO_KEYS),
        (f"{_PACKAGE}.authentication.userAssignedIdentityResourceId", id_of(IDENTITY), _WHICH_IDENTITY),
        ("functionAppConfig.runtime.name", "python", "Flex Consumption reads it here, not from a setting"),
        ("functionAppConfig.runtime.version", "3.13", "packages are built for it"),
        (f"{_SCALE}.maximumInstanceCount", 40, "a flood must not cost without limit"),
        (f"{_SCALE}.alwaysReady", [], "an idle environment costs nothing", DEVELOPMENT),
        *((name, ABSENT, _FLEX_REFUSES) for name in _REFUSED_PROPERTIES.split()),
        (f"{_ACCESS}DefaultAction", "Deny", "only Front Door may call", _PROD),
        (_ACCESS, _only_our_front_door, _OWN_FRONT_DOOR, _PROD),
        (f"{_ACCESS}DefaultAction", "Allow", "phones call it directly", DEVELOPMENT),
        (_ACCESS, [], "phones call it directly", DEVELOPMENT),
        (f"{_SCM}UseMain", False, "what Front Door may call, it may not publish to"),
        (f"{_SCM}DefaultAction", "Deny", _PUBLISHING, _PROD),
        (f"{_SCM}DefaultAction", "Allow", "packages are published from anywhere", DEVELOPMENT),
        (_SCM, [], "the pipeline admits its own address, and only for a while"),
        ("virtualNetworkSubnetId", output("network.appSubnetResourceId"), _PRIVATE, _PROD),
        ("virtualNetworkSubnetId", ABSENT, "development pays for no network", DEVELOPMENT),
    ),
    *rules_for(f"{SITE}/basicPublishingCredentialsPolicies:ftp", ("allow", False, _ENTRA_TOKENS)),
    *rules_for(f"{SITE}/basicPublishingCredentialsPolicies:scm", ("allow", False, _ENTRA_TOKENS)),
    *rules_for(
        SETTINGS,
        ("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "65536", "no valid body is larger"),
        ("AzureWebJobsStorage__credential", "managedidentity", _NO_KEYS),
        ("AzureWebJobsStorage__clientId", lambda place: f"[{_client_id(place)}]", _WHICH_IDENTITY),
        ("AzureWebJobsStorage__accountName", name_of(ACCOUNT), "state stays in its region"),
        *(
            (f"AzureWebJobsStorage__{part}ServiceUri", ABSENT, "with it an instance can fail to start")
            for part in ("blob", "queue", "table")
        ),
        ("AzureWebJobsStorage", ABSENT, "the host would use it in place of the identity"),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", _insights_login, "telemetry is sent without keys"),
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", output("logs.connectionString"), "telemetry needs it"),
        *((name, ABSENT, _FLEX_REFUSES) for name in _REFUSED_SETTINGS.split()),
        ("AZURE_CLIENT_ID", lambda place: f"[{_client_id(place)}]", _HAS_ROLES),
        ("BROKER_REGION", lambda place: place.region, "events name their region"),
        ("KEY_VAULT_URL", output("keyVault.uri"), "the app may read no other vault"),
        ("FACE_ENDPOINT", output("face.endpoint"), _RESIDENCY),
        ("EVENT_GRID_TOPIC_ENDPOINT", output("topic.endpoint"), "results stay in their region"),
        ("CLIENT_AUTH", "jwt", "a pass means nothing if anybody can ask for it", _PROD),
        ("RESULT_VISIBILITY", "status", "a phone must not try until it passes", _PROD),
        ("REQUIRE_DIGEST", "true", "a pass is of this phone's check", _PROD),
        ("AUTH_ISSUER", _ISSUER, "tokens come from one tenant", _PROD),
        ("AUTH_AUDIENCE", f"{_CLIENT},api://{_CLIENT}", "tokens are for this registration", _PROD),
        ("CLIENT_ADDRESS", "frontdoor", "the peer of the app is Front Door", _PROD),
        ("CLIENT_ADDRESS", "appservice", "the peer of the app is the phone", DEVELOPMENT),
        ("FRONT_DOOR_ID", _front_door_id, _OWN_FRONT_DOOR, _PROD),
        ("PUBLIC_BASE_URL", _url_of_the_region, "a session stays in its region", _PROD),
    ),
    *rules_for(
        f"{SITE}/config:authsettingsV2",
        ("platform.enabled", False, "an Easy Auth that was on must not stay on"),
    ),
)

# modules/key-vault.bicep and modules/secrets.bicep
_PEPPER = "[format('{0}{1}', newGuid(), newGuid())]"


def _face_key(place: Place) -> str:
    return f"[listKeys({place.id(FACE)}).key1]"


_KEY_VAULT = (
    *rules_for(
        VAULT,
        ("enableRbacAuthorization", True, "roles alone say who may read"),
        ("enableSoftDelete", True, "without the key the service is down"),
        ("enablePurgeProtection", True, "nobody can delete it for good", _PROD),
        ("enablePurgeProtection", ABSENT, "Azure refuses false; development can be deleted", DEVELOPMENT),
        ("softDeleteRetentionInDays", 90, "operators need time to notice; it can never be changed"),
        ("enabledForTemplateDeployment", False, "templates must not read secrets"),
        ("publicNetworkAccess", "Disabled", _PRIVATE, _PROD),
        ("networkAcls.defaultAction", "Deny", _PRIVATE, _PROD),
        ("networkAcls.bypass", "AzureServices", "the deployment writes the key there"),
        ("networkAcls.ipRules", ABSENT, _PRIVATE),
    ),
    *rules_for(f"{SECRETS}:face-key", ("value", _face_key, "the region's Face issues it")),
    *rules_for(f"{SECRETS}:id-pepper", ("value", _PEPPER, "it is random, and nobody knows it")),
)

# modules/network.bicep and modules/private-endpoint.bicep
_CONNECTION = "privateLinkServiceConnections.0.properties"
_DELEGATION = "subnets.0.properties.delegations.0.properties"
# By the part of a resource that is reached: the type of the resource, and the DNS zone of its private name.
TARGETS: Mapping[str, tuple[str, str]] = {
    "blob": (ACCOUNT, "privatelink.blob.*"),
    "queue": (ACCOUNT, "privatelink.queue.*"),
    "table": (ACCOUNT, "privatelink.table.*"),
    "vault": (VAULT, "privatelink{*vaultcore.*"),
    "topic": (TOPIC, "privatelink.eventgrid.*"),
}


_WAY_OUT = "the app calls by HTTPS alone"


def _subnet(place: Place) -> str:
    return f"{place.id(NETWORK)}/subnets/private-endpoints"


def _private_target(part: str, kind: str, zone: str) -> tuple[Rule, ...]:
    zone_id = "privateDnsZoneConfigs.0.properties.privateDnsZoneId"
    resolved = (zone_id, id_of(f"{ZONE}:*{zone}"), "the usual name resolves to the private address", _PROD)
    linked = ("virtualNetwork.id", id_of(NETWORK), "the app resolves names in the zone", _PROD)
    return (
        *rules_for(
            f"{PRIVATE_ENDPOINT}:*-{part}",
            (f"{_CONNECTION}.groupIds", [part], "the endpoint reaches this part alone", _PROD),
            (f"{_CONNECTION}.privateLinkServiceId", id_of(kind), _PRIVATE, _PROD),
            ("subnet.id", _subnet, _PRIVATE, _PROD),
        ),
        *rules_for(f"{PRIVATE_ENDPOINT}/privateDnsZoneGroups:*-{part}/*", resolved),
        *rules_for(f"{ZONE}/virtualNetworkLinks:*/*{zone}*", linked),
    )


_NETWORK = (
    *rules_for(
        OUTBOUND,
        ("securityRules.0.properties.destinationPortRange", "443", _WAY_OUT),
        ("securityRules.1.properties.access", "Deny", _WAY_OUT),
        ("securityRules.1.properties.direction", "Outbound", _WAY_OUT),
        ("securityRules.1.properties.destinationAddressPrefix", "*", _WAY_OUT),
        ("securityRules.1.properties.destinationPortRange", "*", _WAY_OUT),
        ("securityRules.1.properties.protocol", "*", _WAY_OUT),
        ("securityRules.2", ABSENT, _WAY_OUT),
        environments=_PROD,
    ),
    *rules_for(
        NETWORK,
        ("subnets.0.properties.networkSecurityGroup.id", id_of(OUTBOUND), _WAY_OUT),
        ("subnets.0.properties.defaultOutboundAccess", True, "Face is outside of the network"),
        (f"{_DELEGATION}.serviceName", "Microsoft.App/environments", "Flex Consumption requires it"),
        ("subnets.1.properties.defaultOutboundAccess", False, "nothing calls out from there"),
        environments=_PROD,
    ),
    *(rule for part, (kind, zone) in TARGETS.items() for rule in _private_target(part, kind, zone)),
)

# modules/storage.bicep
_KEPT = "policy.rules.0"
_DELETED = f"{_KEPT}.definition.actions.baseBlob.delete"
_LETTERS_ALONE = {"blobTypes": ["blockBlob"], "prefixMatch": ["dead-letters/"]}
_RESULTS = "dead letters hold results"
_STORAGE = (
    *rules_for(
        ACCOUNT,
        ("sku.name", "Standard_ZRS", f"it survives the loss of a zone, and {_RESIDENCY}"),
        ("allowSharedKeyAccess", False, _NO_KEYS),
        ("defaultToOAuthAuthentication", True, _NO_KEYS),
        ("allowBlobPublicAccess", False, _RESULTS),
        ("allowCrossTenantReplication", False, _RESIDENCY),
        ("allowedCopyScope", "AAD", "nothing can be copied to another tenant"),
        ("minimumTlsVersion", "TLS1_2", _NEW_TLS),
        ("supportsHttpsTrafficOnly", True, _HTTPS),
        ("publicNetworkAccess", "Enabled", "Event Grid cannot write dead letters without it"),
        ("networkAcls.defaultAction", "Deny", _PRIVATE, _PROD),
        ("networkAcls.ipRules", ABSENT, _PRIVATE),
        ("networkAcls.bypass", "AzureServices", "Event Grid writes dead letters there"),
    ),
    *rules_for(CONTAINERS, ("publicAccess", "None", _RESULTS)),
    *rules_for(
        f"{ACCOUNT}/managementPolicies",
        (f"{_KEPT}.enabled", ABSENT, "it is enabled by default"),
        (f"{_KEPT}.definition.filters", _LETTERS_ALONE, "dead letters are deleted, and the package is not"),
        (f"{_DELETED}.daysAfterCreationGreaterThan", 30, "dead letters are kept as long as session records"),
    ),
)

_REGION = (*_ALERTS, *_EVENTS, *_FACE, *_KEY_VAULT, *_MONITORING, *_NETWORK, *_STORAGE)
RULES: tuple[Rule, ...] = (*_FRONT_DOOR, *_FUNCTION_APP, *_REGION)
