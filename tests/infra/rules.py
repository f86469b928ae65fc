"""The rules that hold in every region, by the module under `infra/bicep/modules/` that they are about."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.infra.bicep_compiler import DEVELOPMENT, INFRA, REQUIRED_VARIABLES
from tests.infra.rule import (
    Expected,
    Place,
    Row,
    Rule,
    absent,
    at_least,
    computed,
    equal,
    id_of,
    matching,
    name_of,
    output,
    present,
    rules_for,
)

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
WORKSPACE = "Microsoft.OperationalInsights/workspaces"
ACTION_GROUP = "Microsoft.Insights/actionGroups"
NETWORK = "Microsoft.Network/virtualNetworks"
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
@dataclass(frozen=True, slots=True)
class LogAlert:
    """An alert over the logs; `every` is both how often its query runs and how far it looks back."""

    name: str
    severity: int
    every: str
    query_range: Expected
    ends_by_itself: bool = True

    def rules(self) -> tuple[Rule, ...]:
        """The rules for this alert."""
        criteria = "criteria.allOf.0"
        return rules_for(
            f"Microsoft.Insights/scheduledQueryRules:{self.name}",
            ("enabled", True, _HEARD),
            ("severity", self.severity, "1 is for now, 2 is for today"),
            ("evaluationFrequency", self.every, "the alert must come in time"),
            ("windowSize", self.every, "no time between two runs is left out"),
            ("overrideQueryTimeRange", self.query_range, "the query must see all that it looks for"),
            (
                f"{criteria}.query",
                (INFRA / f"alerts/{self.name}.kql").read_text("utf-8"),
                "the file is deployed",
            ),
            (f"{criteria}.timeAggregation", "Count", "each row of the query is an alert"),
            (f"{criteria}.operator", "GreaterThan", "each row of the query is an alert"),
            (f"{criteria}.threshold", 0, "each row of the query is an alert"),
            ("autoMitigate", self.ends_by_itself, "it ends with its cause, or an operator closes it"),
            ("scopes", _ids_of(WORKSPACE), "it reads the region's own logs"),
            ("actions.actionGroups", _ids_of(ACTION_GROUP), _HEARD),
        )


def _ids_of(kind: str) -> Expected:
    return computed(lambda place: [place.id(kind)])


LOG_ALERTS = (
    LogAlert("poison-queue", 1, "PT15M", equal("P1D"), ends_by_itself=False),
    LogAlert("logs-capped", 1, "PT15M", absent(), ends_by_itself=False),
    LogAlert("upstream-quota", 1, "PT15M", absent()),
    LogAlert("key-unavailable", 1, "PT15M", absent()),
    LogAlert("server-errors", 1, "PT15M", absent()),
    LogAlert("throttling", 2, "PT30M", equal("P2D")),
    LogAlert("events-unavailable", 1, "PT15M", equal("PT1H")),
    LogAlert("no-events", 1, "PT15M", equal("P2D")),
)
ALERTS = tuple(alert.name for alert in LOG_ALERTS)

_DEAD_LETTER = "a subscriber accepts no events"
_ALERTS = (
    *(rule for alert in LOG_ALERTS for rule in alert.rules()),
    *rules_for(
        ACTION_GROUP,
        ("enabled", True, _HEARD),
        ("emailReceivers.0.emailAddress", REQUIRED_VARIABLES["BROKER_ALERT_EMAIL"], _HEARD, _PROD),
    ),
    *rules_for(
        "Microsoft.Insights/metricAlerts:dead-letters",
        ("enabled", True, _HEARD),
        ("severity", 1, "1 is for now"),
        ("evaluationFrequency", "PT5M", "the alert must come in time"),
        ("windowSize", "PT15M", "no time between two runs is left out"),
        ("scopes", _ids_of(TOPIC), _DEAD_LETTER),
        ("criteria.allOf.0.metricName", "DeadLetteredCount", _DEAD_LETTER),
        ("criteria.allOf.0.timeAggregation", "Total", _DEAD_LETTER),
        ("criteria.allOf.0.operator", "GreaterThan", _DEAD_LETTER),
        ("criteria.allOf.0.threshold", 0, _DEAD_LETTER),
        ("actions", computed(lambda place: [{"actionGroupId": place.id(ACTION_GROUP)}]), _HEARD),
    ),
)

# modules/monitoring.bicep
_MONITORING = (
    *rules_for(
        INSIGHTS,
        ("DisableLocalAuth", True, _NO_KEYS),
        ("WorkspaceResourceId", id_of(WORKSPACE), "logs stay in their region"),
    ),
    *rules_for(
        WORKSPACE,
        ("features.disableLocalAuth", True, _NO_KEYS),
        ("workspaceCapping.dailyQuotaGb", present(), "a loop of errors must not cost without limit"),
    ),
    *(
        rule
        for part, categories, why in (
            ("vaults", ("AuditEvent",), "the log says who read the key"),
            ("queueServices", ("StorageWrite", "StorageDelete"), "the alert for poison messages reads it"),
            ("topics", ("DeliveryFailures", "PublishFailures"), "the log says why an event did not arrive"),
        )
        for rule in rules_for(
            f"Microsoft.Insights/diagnosticSettings:*/{part}/*",
            ("workspaceId", id_of(WORKSPACE), "logs stay in their region"),
            ("logs", [{"category": category, "enabled": True} for category in categories], why),
        )
    ),
)

# modules/event-topic.bicep and modules/event-subscription.bicep
_ENDS = ["liveness.session.completed", "liveness.session.expired"]
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
        ("filter.includedEventTypes", _ENDS, "a session ends in one of these"),
        ("retryPolicy.maxDeliveryAttempts", 30, "it is the maximum"),
        ("retryPolicy.eventTimeToLiveInMinutes", 1440, "it is the maximum"),
        (f"{_DELIVERY}.identity.type", "SystemAssigned", _NO_KEYS),
        (f"{_DELIVERY}.destination.endpointType", "StorageQueue", "operators can look at the events there"),
        (f"{_DELIVERY}.destination.properties.resourceId", id_of(ACCOUNT), _RESIDENCY),
        (f"{_DELIVERY}.destination.properties.queueName", "liveness-events", "it has a queue of its own"),
        (f"{_LETTERS}.identity.type", "SystemAssigned", _NO_KEYS),
        (f"{_LETTERS}.deadLetterDestination.endpointType", "StorageBlob", _DROPPED),
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


_METHODS = {
    "matchVariable": "RequestMethod",
    "operator": "Equal",
    "negateCondition": True,
    "matchValue": ["GET", "POST", "DELETE"],
}
_EVERY_CALL = {"matchVariable": "RequestUri", "operator": "Contains", "matchValue": ["/api/"]}
_FLOOD = "a flood must end here"
_FRONT_DOOR = (
    *_shared_rules(
        PROFILE,
        *_scrubbing("logScrubbing", "RequestIPAddress", "RequestUri", "QueryStringArgNames"),
    ),
    *_shared_rules(
        ORIGIN,
        ("hostName", computed(_app_of_the_region), "a session stays in its region"),
        ("originHostHeader", computed(_app_of_the_region), "App Service answers 404 to another name"),
        ("enforceCertificateNameCheck", True, "nobody can pose as the app"),
        ("enabledState", "Enabled", "it gets calls"),
        ("httpsPort", 443, "the app listens there"),
    ),
    *_shared_rules(
        ROUTE,
        ("supportedProtocols", ["Https"], _HTTPS),
        ("httpsRedirect", "Disabled", "a redirected call has sent its token unencrypted already"),
        ("forwardingProtocol", "HttpsOnly", _HTTPS),
        ("cacheConfiguration", absent(), "responses must not be cached"),
        ("enabledState", "Enabled", "phones call it"),
    ),
    *_shared_rules(
        f"{ORIGIN_GROUP}:all-regions",
        ("healthProbeSettings.probePath", "/api/health", "it calls nothing that costs"),
        ("healthProbeSettings.probeRequestType", "GET", "the functions answer 404 to HEAD"),
        ("healthProbeSettings.probeProtocol", "Https", "the app refuses all else"),
    ),
    *_shared_rules(
        f"{ORIGIN_GROUP}:region-*",
        ("healthProbeSettings", absent(), "it has one origin, and probes would be most of its calls"),
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
        ("customRules.rules.1.rateLimitThreshold", 300, _FLOOD),
        ("customRules.rules.1.rateLimitDurationInMinutes", 1, _FLOOD),
        ("customRules.rules.1.groupBy", [{"variableName": "SocketAddr"}], "a caller writes X-Forwarded-For"),
        ("customRules.rules.1.matchConditions", [_EVERY_CALL], "every call counts"),
        ("customRules.rules.2", absent(), "no further rule lets a call pass"),
    ),
    *_shared_rules(
        PROTECTION,
        ("parameters.wafPolicy.id", id_of(FIREWALL), "the firewall inspects the calls"),
        ("parameters.associations.0.patternsToMatch", ["/*"], "the firewall covers every path"),
        ("parameters.associations.0.domains", present(), "the firewall covers the endpoints"),
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
_FLEX_REFUSES = "Flex Consumption answers 400, or ignores it"
_HAS_ROLES = "this identity has the roles"
_WHICH_IDENTITY = "the host must know which user-assigned identity to use"
_PACKAGE = "functionAppConfig.deployment.storage"
_SCALE = "functionAppConfig.scaleAndConcurrency"
_ACCESS = "siteConfig.ipSecurityRestrictions"
_OWN_FRONT_DOOR = "anybody can have a Front Door: only ours may call"
_CLIENT = REQUIRED_VARIABLES["BROKER_AUTH_CLIENT_ID"]
_ISSUER = REQUIRED_VARIABLES["BROKER_AUTH_ISSUER"]
_ENTRA = "identityProviders.azureActiveDirectory"


def _client_id(place: Place) -> str:
    return f"reference({place.id(IDENTITY)}).clientId"


def _package_container(place: Place) -> str:
    return f"[format('{{0}}packages', reference({place.id(ACCOUNT)}).primaryEndpoints.blob)]"


def _only_our_front_door(place: Place) -> object:
    return [
        {
            "name": "front-door",
            "priority": 100,
            "action": "Allow",
            "tag": "ServiceTag",
            "ipAddress": "AzureFrontDoor.Backend",
            "headers": {"x-azure-fdid": [_front_door_id(place)]},
        }
    ]


def _front_door_id(place: Place) -> str:
    return f"[{place.shared_group}/profile.frontDoorId]"


def _url_of_the_region(place: Place) -> str:
    number = place.snapshot.region_groups().index(place.group)
    return f"[format('https://{{0}}', {place.shared_group}/profile.regionHostNames[{number}])]"


_FUNCTION_APP = (
    *rules_for(
        PLAN,
        ("sku.tier", "FlexConsumption", "all other settings are for this plan"),
        ("reserved", True, "Python runs on Linux"),
        ("zoneRedundant", True, "production survives the loss of a zone", _PROD),
    ),
    *rules_for(
        SITE,
        ("kind", "functionapp,linux", "Python runs on Linux"),
        ("serverFarmId", id_of(PLAN), "each app has its own plan"),
        ("identity.type", "UserAssigned", "its roles can exist before the app does"),
        ("identity.userAssignedIdentities", computed(lambda place: {place.id(IDENTITY): {}}), _HAS_ROLES),
        ("httpsOnly", True, _HTTPS),
        ("siteConfig.minTlsVersion", matching(r"^1\.[23]$"), _NEW_TLS),
        ("siteConfig.http20Enabled", True, "phones poll over one connection"),
        (f"{_PACKAGE}.type", "blobContainer", "the package lies in the region's own account"),
        (f"{_PACKAGE}.value", computed(_package_container), "the package lies in the region's own account"),
        (f"{_PACKAGE}.authentication.type", "UserAssignedIdentity", _NO_KEYS),
        (f"{_PACKAGE}.authentication.userAssignedIdentityResourceId", id_of(IDENTITY), _WHICH_IDENTITY),
        ("functionAppConfig.runtime.name", "python", "Flex Consumption reads it here, not from a setting"),
        ("functionAppConfig.runtime.version", "3.13", "packages are built for it"),
        (f"{_SCALE}.triggers.http.perInstanceConcurrency", 16, "Python's own default is 1"),
        (f"{_SCALE}.instanceMemoryMB", 2048, "some regions refuse 512"),
        (f"{_SCALE}.maximumInstanceCount", 40, "a flood must not cost without limit"),
        (f"{_SCALE}.alwaysReady.0.name", "http", "phones must not wait for a cold start", _PROD),
        (f"{_SCALE}.alwaysReady.0.instanceCount", at_least(2), "two zones have one instance each", _PROD),
        (f"{_SCALE}.alwaysReady", [], "an idle environment costs nothing", DEVELOPMENT),
        *((name, absent(), _FLEX_REFUSES) for name in _REFUSED_PROPERTIES.split()),
        (f"{_ACCESS}DefaultAction", "Deny", "only Front Door may call", _PROD),
        (_ACCESS, computed(_only_our_front_door), _OWN_FRONT_DOOR, _PROD),
        (f"{_ACCESS}DefaultAction", "Allow", "phones call it directly", DEVELOPMENT),
        (_ACCESS, [], "phones call it directly", DEVELOPMENT),
        ("virtualNetworkSubnetId", output("network.appSubnetResourceId"), _PRIVATE, _PROD),
        ("virtualNetworkSubnetId", absent(), "development pays for no network", DEVELOPMENT),
    ),
    *(
        rule
        for protocol in ("ftp", "scm")
        for rule in rules_for(
            f"{SITE}/basicPublishingCredentialsPolicies:{protocol}",
            ("allow", False, "packages are published with Entra tokens"),
        )
    ),
    *rules_for(
        SETTINGS,
        ("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "65536", "no valid body is larger"),
        ("AzureWebJobsDisableHomepage", "true", "the home page is 150 KB for anybody who asks"),
        ("AzureWebJobsStorage__credential", "managedidentity", _NO_KEYS),
        ("AzureWebJobsStorage__clientId", computed(lambda place: f"[{_client_id(place)}]"), _WHICH_IDENTITY),
        ("AzureWebJobsStorage__accountName", name_of(ACCOUNT), "state stays in its region"),
        ("AzureWebJobsStorage", absent(), "the host would use it in place of the identity"),
        (
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
            computed(lambda place: f"[format('ClientId={{0}};Authorization=AAD', {_client_id(place)})]"),
            "telemetry is sent as the region's identity",
        ),
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", output("logs.connectionString"), "telemetry needs it"),
        *((name, absent(), _FLEX_REFUSES) for name in _REFUSED_SETTINGS.split()),
        ("AZURE_CLIENT_ID", computed(lambda place: f"[{_client_id(place)}]"), _HAS_ROLES),
        ("BROKER_REGION", computed(lambda place: place.region), "events name their region"),
        ("KEY_VAULT_URL", output("keyVault.uri"), "the app may read no other vault"),
        ("FACE_ENDPOINT", output("face.endpoint"), _RESIDENCY),
        ("EVENT_GRID_TOPIC_ENDPOINT", output("topic.endpoint"), "results stay in their region"),
        ("CLIENT_ADDRESS", "frontdoor", "the peer of the app is Front Door", _PROD),
        ("CLIENT_ADDRESS", "appservice", "the peer of the app is the phone", DEVELOPMENT),
        ("FRONT_DOOR_ID", computed(_front_door_id), _OWN_FRONT_DOOR, _PROD),
        ("FRONT_DOOR_ID", "", "development has no Front Door", DEVELOPMENT),
        ("PUBLIC_BASE_URL", computed(_url_of_the_region), "a session stays in its region", _PROD),
        ("PUBLIC_BASE_URL", "", "the app's own name is used", DEVELOPMENT),
    ),
    *rules_for(
        f"{SITE}/config:authsettingsV2",
        ("platform.enabled", False, "Easy Auth is off in development", DEVELOPMENT),
        ("platform.enabled", True, "Easy Auth is on"),
        ("globalValidation.requireAuthentication", True, "without it everybody gets in"),
        ("globalValidation.unauthenticatedClientAction", "Return401", "phones do not follow login redirects"),
        ("globalValidation.excludedPaths", ["/api/health"], "probes have no token, and all others need one"),
        ("httpSettings.requireHttps", True, _HTTPS),
        (f"{_ENTRA}.enabled", True, "without a provider no token is checked"),
        (f"{_ENTRA}.registration.clientId", _CLIENT, "tokens are for this registration"),
        (f"{_ENTRA}.registration.openIdIssuer", _ISSUER, "tokens come from one tenant"),
        (f"{_ENTRA}.validation.allowedAudiences", [_CLIENT, f"api://{_CLIENT}"], "other tokens are refused"),
        environments=_PROD,
    ),
)

# modules/key-vault.bicep and modules/secrets.bicep
_KEY_VAULT = (
    *rules_for(
        VAULT,
        ("enableRbacAuthorization", True, "roles alone say who may read"),
        ("enableSoftDelete", True, "without the key the service is down"),
        ("enablePurgeProtection", True, "nobody can delete it for good", _PROD),
        ("enablePurgeProtection", absent(), "Azure refuses false; development can be deleted", DEVELOPMENT),
        ("softDeleteRetentionInDays", 90, "operators need time to notice; it can never be changed"),
        ("enabledForTemplateDeployment", False, "templates must not read secrets"),
        ("publicNetworkAccess", "Disabled", _PRIVATE, _PROD),
        ("networkAcls.defaultAction", "Deny", _PRIVATE, _PROD),
        ("networkAcls.bypass", "AzureServices", "the deployment writes the key there"),
        ("networkAcls.ipRules", absent(), _PRIVATE),
    ),
    *rules_for(
        f"{SECRETS}:face-key",
        (
            "value",
            computed(lambda place: f"[listKeys({place.id(FACE)}).key1]"),
            "the region's Face issues it",
        ),
    ),
    *rules_for(
        f"{SECRETS}:id-pepper",
        ("value", "[format('{0}{1}', newGuid(), newGuid())]", "it is random, and nobody knows it"),
    ),
)

# modules/network.bicep and modules/private-endpoint.bicep
# By the part of a resource that is reached: the type of the resource, and the DNS zone of its private name.
TARGETS: Mapping[str, tuple[str, str]] = {
    "blob": (ACCOUNT, "privatelink.blob.*"),
    "queue": (ACCOUNT, "privatelink.queue.*"),
    "table": (ACCOUNT, "privatelink.table.*"),
    "vault": (VAULT, "privatelink.vaultcore.azure.net"),
    "topic": (TOPIC, "privatelink.eventgrid.azure.net"),
}


def _private_target(part: str, kind: str, zone: str) -> tuple[Rule, ...]:
    connection = "privateLinkServiceConnections.0.properties"
    subnet = computed(lambda place: f"{place.id(NETWORK)}/subnets/private-endpoints")
    return (
        *rules_for(
            f"{PRIVATE_ENDPOINT}:*-{part}",
            (f"{connection}.groupIds", [part], "the endpoint reaches this part alone"),
            (f"{connection}.privateLinkServiceId", id_of(kind), _PRIVATE),
            ("subnet.id", subnet, _PRIVATE),
            environments=_PROD,
        ),
        *rules_for(
            f"{PRIVATE_ENDPOINT}/privateDnsZoneGroups:*-{part}/*",
            (
                "privateDnsZoneConfigs.0.properties.privateDnsZoneId",
                id_of(f"{ZONE}:*{zone}"),
                "the usual name resolves to the private address",
            ),
            environments=_PROD,
        ),
        *rules_for(
            f"{ZONE}/virtualNetworkLinks:*/*{zone}*",
            ("virtualNetwork.id", id_of(NETWORK), "the app resolves names in the zone"),
            environments=_PROD,
        ),
    )


_NETWORK = (
    *rules_for(
        NETWORK,
        ("subnets.0.name", "app", "the app calls out from there"),
        ("subnets.0.properties.defaultOutboundAccess", True, "Face is outside of the network"),
        (
            "subnets.0.properties.delegations.0.properties.serviceName",
            "Microsoft.App/environments",
            "Flex Consumption requires it",
        ),
        ("subnets.1.name", "private-endpoints", "private addresses come from there"),
        ("subnets.1.properties.defaultOutboundAccess", False, "nothing calls out from there"),
        environments=_PROD,
    ),
    *(rule for part, (kind, zone) in TARGETS.items() for rule in _private_target(part, kind, zone)),
)

# modules/storage.bicep
_KEPT = "policy.rules.0"
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
        ("minimumTlsVersion", matching("^TLS1_[23]$"), _NEW_TLS),
        ("supportsHttpsTrafficOnly", True, _HTTPS),
        ("publicNetworkAccess", "Enabled", "Event Grid cannot write dead letters without it"),
        ("networkAcls.defaultAction", "Deny", _PRIVATE, _PROD),
        ("networkAcls.ipRules", absent(), _PRIVATE),
        ("networkAcls.bypass", "AzureServices", "Event Grid writes dead letters there"),
    ),
    *rules_for(CONTAINERS, ("publicAccess", "None", _RESULTS)),
    *rules_for(f"{CONTAINERS}:packages", ("apiVersion", present(), "the package is published there")),
    *rules_for(f"{CONTAINERS}:dead-letters", ("apiVersion", present(), "an undelivered event is kept there")),
    *rules_for(f"{QUEUES}:liveness-results", ("apiVersion", present(), "the queue trigger reads it")),
    *rules_for(
        f"{QUEUES}:liveness-results-poison", ("apiVersion", present(), "failed messages are kept there")
    ),
    *rules_for(
        f"{ACCOUNT}/managementPolicies",
        (f"{_KEPT}.type", "Lifecycle", _RESULTS),
        (f"{_KEPT}.enabled", absent(), "it is enabled by default"),
        (
            f"{_KEPT}.definition.filters",
            {"blobTypes": ["blockBlob"], "prefixMatch": ["dead-letters/"]},
            "dead letters are deleted, and the package is not",
        ),
        (
            f"{_KEPT}.definition.actions.baseBlob.delete.daysAfterCreationGreaterThan",
            30,
            "dead letters are kept as long as session records",
        ),
    ),
)

RULES: tuple[Rule, ...] = (
    *_ALERTS,
    *_EVENTS,
    *_FACE,
    *_FRONT_DOOR,
    *_FUNCTION_APP,
    *_KEY_VAULT,
    *_MONITORING,
    *_NETWORK,
    *_STORAGE,
)
