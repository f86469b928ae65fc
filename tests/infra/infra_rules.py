"""What must hold in every region: a table of (resource, property, expected, why)."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tests.infra.arm_snapshot import ABSENT, Snapshot, Value, read
from tests.infra.bicep_compiler import ENVIRONMENTS, THROWN_AWAY


@dataclass(frozen=True, slots=True)
class Expected:
    """What a property may be; `spoiled` is a value that it may not be."""

    text: str
    accepts: Callable[[Value], bool]
    spoiled: Value


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; `resource` is a type, or `type:name` with the last part of the name."""

    resource: str
    property: str
    expected: Expected
    why: str
    environments: Collection[str] = ENVIRONMENTS

    def __str__(self) -> str:
        kind = self.resource.removeprefix("Microsoft.")
        where = "" if self.environments == ENVIRONMENTS else f" ({', '.join(self.environments)})"
        return f"{kind} {self.property} {self.expected.text}{where}"

    def broken(self, snapshot: Snapshot) -> list[str]:
        """Where the rule does not hold: at resources, or in regions that have no such resource."""
        return [line for stamp in snapshot.stamps() for line in self._broken_in(snapshot, stamp)]

    def _broken_in(self, snapshot: Snapshot, stamp: str) -> list[str]:
        found = snapshot.find(self.resource, stamp)
        if not found:
            return [f"{stamp} has no {self.resource}: {self.why}"]
        values = [(resource["name"], read(resource, self.property)) for resource in found]
        return [
            f"{name}: {self.property} is {_shown(value)}, and has to be {self.expected.text}: {self.why}"
            for name, value in values
            if not self.expected.accepts(value)
        ]


def equal(value: Value) -> Expected:
    """Exactly this value."""
    spoiled = not value if isinstance(value, bool) else "?"
    return Expected(
        f"= {_shown(value)}", lambda found: type(found) is type(value) and found == value, spoiled
    )


def absent() -> Expected:
    """Not there at all, or null."""
    return Expected("absent", lambda found: found is ABSENT, "there")


def present() -> Expected:
    """Anything but nothing."""
    return Expected("present", lambda found: found is not ABSENT and found != "", ABSENT)


def matching(pattern: str) -> Expected:
    """A text in which the pattern is found."""
    return Expected(
        f"~ {pattern}",
        lambda found: isinstance(found, str) and re.search(pattern, found) is not None,
        "?",
    )


def including_some(part: str) -> Expected:
    """A list with an element that has this part."""
    return Expected(
        f"has {part}",
        lambda found: isinstance(found, list) and any(part in str(element) for element in found),
        [],
    )


def _shown(value: Value) -> str:
    return "absent" if value is ABSENT else repr(value)


_ACCOUNT = "Microsoft.Storage/storageAccounts"
_SITE = "Microsoft.Web/sites"
_SETTINGS = "Microsoft.Web/sites/config:appsettings"
_EASY_AUTH = "Microsoft.Web/sites/config:authsettingsV2"
_PASSWORDS = "Microsoft.Web/sites/basicPublishingCredentialsPolicies"
_PLAN = "Microsoft.Web/serverfarms"
_VAULT = "Microsoft.KeyVault/vaults"
_SECRETS = "Microsoft.KeyVault/vaults/secrets"
_FACE = "Microsoft.CognitiveServices/accounts"
_TOPIC = "Microsoft.EventGrid/topics"
_SUBSCRIPTION = "Microsoft.EventGrid/topics/eventSubscriptions:results-to-queue"
_INSIGHTS = "Microsoft.Insights/components"
_WORKSPACE = "Microsoft.OperationalInsights/workspaces"
_QUEUES = f"{_ACCOUNT}/queueServices/queues"
_CONTAINERS = f"{_ACCOUNT}/blobServices/containers"
_ALERTS = "Microsoft.Insights/scheduledQueryRules"
_STORAGE = "properties.functionAppConfig.deployment.storage"
_SCALE = "properties.functionAppConfig.scaleAndConcurrency"
_ACCESS = "properties.siteConfig.ipSecurityRestrictions"

ALERTS = ("poison-queue", "upstream-quota", "key-unavailable", "server-errors", "throttling", "no-events")

# https://learn.microsoft.com/azure/azure-functions/functions-app-settings, "Flex Consumption plan deprecations"; the
# properties after what the platform was seen to answer 400 to (Azure/azure-cli issue 31414 and the like).
_REFUSED_SETTINGS = (
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "TZ",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_DNS_SERVER",
    "WEBSITE_LOAD_CERTIFICATES",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
    "WEBSITE_TIME_ZONE",
    "WEBSITE_USE_PLACEHOLDER",
    "WEBSITE_VNET_ROUTE_ALL",
)
_REFUSED_PROPERTIES = (
    "siteConfig.alwaysOn",
    "siteConfig.appSettings",
    "siteConfig.ftpsState",
    "siteConfig.functionAppScaleLimit",
    "siteConfig.linuxFxVersion",
    "siteConfig.netFrameworkVersion",
    "siteConfig.preWarmedInstanceCount",
    "siteConfig.pythonVersion",
    "siteConfig.use32BitWorkerProcess",
    "containerSize",
    "endToEndEncryptionEnabled",
    "isReserved",
)
_FLEX_REFUSES = "Flex Consumption answers 400, or pays it no heed"
_NO_KEYS = "nothing can be reached with a key that leaks"
_ENTRA = "with a user-assigned identity the host needs to be told which"
_RESIDENCY = "biometric data stays in its region"
_PRIVATE = "isolated: nobody outside of the network reaches it"

RULES: tuple[Rule, ...] = (
    # The app on its plan.
    Rule(_PLAN, "sku.tier", equal("FlexConsumption"), "the plan that the rest is written for"),
    Rule(_PLAN, "properties.reserved", equal(True), "Linux"),
    Rule(_PLAN, "properties.zoneRedundant", equal(True), "prod outlives a zone", ("prod",)),
    Rule(_SITE, "kind", equal("functionapp,linux"), "Python runs on Linux"),
    Rule(_SITE, "identity.type", equal("UserAssigned"), "its roles can be there before the app is"),
    Rule(_SITE, "properties.httpsOnly", equal(True), "tokens travel in headers"),
    Rule(_SITE, "properties.siteConfig.minTlsVersion", matching(r"^1\.[23]$"), "TLS 1.2 at least"),
    Rule(_SITE, "properties.siteConfig.http20Enabled", equal(True), "phones ask several times"),
    Rule(_SITE, f"{_STORAGE}.type", equal("blobContainer"), "the package is in the region's own account"),
    Rule(_SITE, f"{_STORAGE}.authentication.type", equal("UserAssignedIdentity"), _NO_KEYS),
    Rule(_SITE, f"{_STORAGE}.authentication.userAssignedIdentityResourceId", present(), _ENTRA),
    Rule(_SITE, "properties.functionAppConfig.runtime.name", equal("python"), "set here, not as a setting"),
    Rule(_SITE, f"{_SCALE}.triggers.http.perInstanceConcurrency", equal(16), "Python's own default is 1"),
    Rule(_SITE, f"{_SCALE}.instanceMemoryMB", equal(2048), "512 is refused in places"),
    Rule(_PASSWORDS, "properties.allow", equal(False), "packages are published with Entra tokens"),
    *(Rule(_SITE, f"properties.{name}", absent(), _FLEX_REFUSES) for name in _REFUSED_PROPERTIES),
    # What the host is told.
    Rule(_SETTINGS, "properties.FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", equal("65536"), "no body is larger"),
    Rule(_SETTINGS, "properties.AzureWebJobsDisableHomepage", equal("true"), "150 KB for anybody who asks"),
    Rule(_SETTINGS, "properties.AzureWebJobsStorage__credential", equal("managedidentity"), _ENTRA),
    Rule(_SETTINGS, "properties.AzureWebJobsStorage__clientId", matching("clientId"), _ENTRA),
    Rule(
        _SETTINGS, "properties.AzureWebJobsStorage__accountName", matching("^st"), "the region's own account"
    ),
    Rule(
        _SETTINGS,
        "properties.AzureWebJobsStorage",
        absent(),
        "a connection string would win over the identity",
    ),
    Rule(
        _SETTINGS,
        "properties.APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        matching(r"ClientId=\{0\};Authorization=AAD"),
        "telemetry goes through Entra",
    ),
    Rule(_SETTINGS, "properties.APPLICATIONINSIGHTS_CONNECTION_STRING", present(), "no telemetry without it"),
    *(Rule(_SETTINGS, f"properties.{name}", absent(), _FLEX_REFUSES) for name in _REFUSED_SETTINGS),
    Rule(_SETTINGS, "properties.EVENT_GRID_TOPIC_ENDPOINT", matching("'topic-"), "the region's own topic"),
    # Storage.
    Rule(_ACCOUNT, "sku.name", equal("Standard_ZRS"), f"outlives a zone, and {_RESIDENCY}"),
    Rule(_ACCOUNT, "properties.allowSharedKeyAccess", equal(False), _NO_KEYS),
    Rule(_ACCOUNT, "properties.defaultToOAuthAuthentication", equal(True), _NO_KEYS),
    Rule(_ACCOUNT, "properties.allowBlobPublicAccess", equal(False), "dead letters hold results"),
    Rule(_ACCOUNT, "properties.allowCrossTenantReplication", equal(False), _RESIDENCY),
    Rule(_ACCOUNT, "properties.allowedCopyScope", equal("AAD"), "nothing is copied to another tenant"),
    Rule(_ACCOUNT, "properties.minimumTlsVersion", matching("^TLS1_[23]$"), "TLS 1.2 at least"),
    Rule(_ACCOUNT, "properties.supportsHttpsTrafficOnly", equal(True), "tokens travel in headers"),
    Rule(_ACCOUNT, "properties.networkAcls.defaultAction", equal("Deny"), _PRIVATE, ("prod",)),
    Rule(
        _ACCOUNT,
        "properties.networkAcls.bypass",
        equal("AzureServices"),
        "Event Grid keeps dead letters there",
    ),
    Rule(_CONTAINERS, "properties.publicAccess", equal("None"), "dead letters hold results"),
    Rule(f"{_CONTAINERS}:packages", "apiVersion", present(), "the package goes there"),
    Rule(
        f"{_CONTAINERS}:dead-letters",
        "apiVersion",
        present(),
        "an event that cannot be delivered is not lost",
    ),
    Rule(f"{_QUEUES}:liveness-results", "apiVersion", present(), "the trigger listens to it"),
    Rule(f"{_QUEUES}:liveness-results-poison", "apiVersion", present(), "messages that fail are kept"),
    # Key Vault.
    Rule(_VAULT, "properties.enableRbacAuthorization", equal(True), "one way to say who may read"),
    Rule(_VAULT, "properties.enableSoftDelete", equal(True), "a key that is gone takes the service with it"),
    Rule(_VAULT, "properties.enablePurgeProtection", equal(True), "nobody deletes it for good", ("prod",)),
    Rule(
        _VAULT,
        "properties.enablePurgeProtection",
        absent(),
        "false is refused; it is thrown away",
        THROWN_AWAY,
    ),
    Rule(_VAULT, "properties.softDeleteRetentionInDays", equal(90), "time to notice", ("prod",)),
    Rule(_VAULT, "properties.softDeleteRetentionInDays", equal(7), "names are free again soon", THROWN_AWAY),
    Rule(_VAULT, "properties.enabledForTemplateDeployment", equal(False), "no template reads secrets"),
    Rule(_VAULT, "properties.publicNetworkAccess", equal("Disabled"), _PRIVATE, ("prod",)),
    Rule(_VAULT, "properties.networkAcls.defaultAction", equal("Deny"), _PRIVATE, ("prod",)),
    Rule(
        f"{_SECRETS}:face-key",
        "properties.value",
        matching(r"^\[listKeys\(.*\.key1\]$"),
        "straight from Face",
    ),
    Rule(
        f"{_SECRETS}:id-pepper",
        "properties.value",
        matching(r"newGuid\(\), newGuid\(\)"),
        "made up, by nobody",
    ),
    # Face.
    Rule(_FACE, "kind", equal("Face"), "what it is all about"),
    Rule(
        _FACE, "properties.customSubDomainName", matching("^face-"), "Entra tokens need it; never changeable"
    ),
    Rule(_FACE, "properties.disableLocalAuth", equal(False), "the app calls it with a key here"),
    # Event Grid.
    Rule(
        _TOPIC, "properties.inputSchema", equal("CloudEventSchemaV1_0"), "what is published; never changeable"
    ),
    Rule(_TOPIC, "properties.dataResidencyBoundary", equal("WithinRegion"), _RESIDENCY),
    Rule(_TOPIC, "properties.disableLocalAuth", equal(True), _NO_KEYS),
    Rule(_TOPIC, "properties.minimumTlsVersionAllowed", equal("1.2"), "TLS 1.2 at least"),
    Rule(_TOPIC, "properties.publicNetworkAccess", equal("Disabled"), _PRIVATE, ("prod",)),
    Rule(_TOPIC, "identity.type", equal("SystemAssigned"), "delivers and dead-letters without keys"),
    Rule(
        _SUBSCRIPTION,
        "properties.deadLetterWithResourceIdentity.deadLetterDestination.properties.blobContainerName",
        equal("dead-letters"),
        "off by default: events would be dropped",
        THROWN_AWAY,
    ),
    Rule(
        _SUBSCRIPTION,
        "properties.eventDeliverySchema",
        equal("CloudEventSchemaV1_0"),
        "as it was published",
        THROWN_AWAY,
    ),
    Rule(
        _SUBSCRIPTION,
        "properties.deliveryWithResourceIdentity.destination.properties.queueName",
        equal("liveness-events"),
        "an example to look at",
        THROWN_AWAY,
    ),
    # Logs.
    Rule(_INSIGHTS, "properties.DisableLocalAuth", equal(True), _NO_KEYS),
    Rule(
        _INSIGHTS,
        "properties.WorkspaceResourceId",
        matching("/workspaces/log-"),
        "the region's own workspace",
    ),
    Rule(_WORKSPACE, "properties.features.disableLocalAuth", equal(True), _NO_KEYS),
    Rule(
        _WORKSPACE,
        "properties.workspaceCapping.dailyQuotaGb",
        present(),
        "a loop of errors has a price limit",
    ),
    Rule(
        "Microsoft.Insights/diagnosticSettings",
        "properties.workspaceId",
        present(),
        "who read the key is known",
    ),
    # Alerts.
    *(
        Rule(f"{_ALERTS}:{name}", "properties.enabled", equal(True), "somebody hears of it")
        for name in ALERTS
    ),
    Rule(
        _ALERTS,
        "properties.actions.actionGroups",
        including_some("/actionGroups/ag-"),
        "somebody hears of it",
    ),
    Rule(_ALERTS, "properties.criteria.allOf.0.threshold", equal(0), "a row of the query is an alert"),
    Rule("Microsoft.Insights/metricAlerts:dead-letters", "properties.enabled", equal(True), "as above"),
    # Switches.
    Rule(_EASY_AUTH, "properties.platform.enabled", equal(False), "off, and said so", THROWN_AWAY),
    Rule(_EASY_AUTH, "properties.platform.enabled", equal(True), "the switch is on", ("prod",)),
    Rule(
        _EASY_AUTH,
        "properties.globalValidation.requireAuthentication",
        equal(True),
        "else it lets everybody in",
        ("prod",),
    ),
    Rule(
        _EASY_AUTH,
        "properties.globalValidation.unauthenticatedClientAction",
        equal("Return401"),
        "a phone follows no redirect to a login page",
        ("prod",),
    ),
    Rule(_SITE, "properties.virtualNetworkSubnetId", present(), _PRIVATE, ("prod",)),
    Rule(_SITE, "properties.virtualNetworkSubnetId", absent(), "no network is paid for", THROWN_AWAY),
    Rule(
        "Microsoft.Network/virtualNetworks",
        "properties.subnets.0.properties.delegations.0.properties.serviceName",
        equal("Microsoft.App/environments"),
        "what Flex Consumption asks for",
        ("prod",),
    ),
    Rule(_SITE, f"{_ACCESS}DefaultAction", equal("Deny"), "Front Door alone may call", ("prod",)),
    Rule(
        _SITE,
        f"{_ACCESS}.0.ipAddress",
        equal("AzureFrontDoor.Backend"),
        "Front Door alone may call",
        ("prod",),
    ),
    Rule(
        _SITE,
        f'{_ACCESS}.0.headers."x-azure-fdid".0',
        matching("frontDoorId"),
        "anybody has a Front Door: ours alone may call",
        ("prod",),
    ),
    Rule(_SETTINGS, "properties.CLIENT_ADDRESS", equal("frontdoor"), "the peer is Front Door", ("prod",)),
    Rule(_SETTINGS, "properties.CLIENT_ADDRESS", equal("appservice"), "the peer is the phone", THROWN_AWAY),
    Rule(
        _SETTINGS,
        "properties.PUBLIC_BASE_URL",
        matching("regionHostNames"),
        "a session stays there",
        ("prod",),
    ),
)
