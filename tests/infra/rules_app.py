"""What must hold for the app of every region: its plan, its settings, who gets in."""

from tests.infra.bicep_compiler import REQUIRED_VARIABLES, THROWN_AWAY
from tests.infra.expectations import Place, Rule, absent, at_least, equal, matching, own
from tests.infra.resource_types import (
    ACCOUNT,
    EASY_AUTH,
    IDENTITY,
    PASSWORDS,
    PLAN,
    SETTINGS,
    SITE,
)

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
_PROD = ("prod",)
_STORAGE = "properties.functionAppConfig.deployment.storage"
_SCALE = "properties.functionAppConfig.scaleAndConcurrency"
_ACCESS = "properties.siteConfig.ipSecurityRestrictions"
_CHECKED = "properties.identityProviders.azureActiveDirectory"
_CLIENT = REQUIRED_VARIABLES["BROKER_AUTH_CLIENT_ID"]


def _client_id(place: Place) -> str:
    return f"reference({place.id(IDENTITY)}).clientId"


def _only_our_front_door(place: Place) -> object:
    return [
        {
            "name": "front-door",
            "priority": 100,
            "action": "Allow",
            "tag": "ServiceTag",
            "ipAddress": "AzureFrontDoor.Backend",
            "headers": {"x-azure-fdid": [f"[{place.shared_group}/profile.frontDoorId]"]},
        }
    ]


RULES = (
    # The app on its plan.
    Rule(PLAN, "sku.tier", equal("FlexConsumption"), "the plan that the rest is written for"),
    Rule(PLAN, "properties.reserved", equal(True), "Linux"),
    Rule(PLAN, "properties.zoneRedundant", equal(True), "prod outlives a zone", _PROD),
    Rule(SITE, "kind", equal("functionapp,linux"), "Python runs on Linux"),
    Rule(SITE, "properties.serverFarmId", own("its plan", lambda place: place.id(PLAN)), "one app a plan"),
    Rule(SITE, "identity.type", equal("UserAssigned"), "its roles can be there before the app is"),
    Rule(
        SITE,
        "identity.userAssignedIdentities",
        own("the region's identity", lambda place: {place.id(IDENTITY): {}}),
        "the one that has the roles",
    ),
    Rule(SITE, "properties.httpsOnly", equal(True), "tokens travel in headers"),
    Rule(SITE, "properties.siteConfig.minTlsVersion", matching(r"^1\.[23]$"), "TLS 1.2 at least"),
    Rule(SITE, "properties.siteConfig.http20Enabled", equal(True), "phones ask several times"),
    Rule(SITE, f"{_STORAGE}.type", equal("blobContainer"), "the package is in the region's own account"),
    Rule(
        SITE,
        f"{_STORAGE}.value",
        own(
            "the container `packages` of the region's own account",
            lambda place: f"[format('{{0}}packages', reference({place.id(ACCOUNT)}).primaryEndpoints.blob)]",
        ),
        "the package is in the region's own account",
    ),
    Rule(SITE, f"{_STORAGE}.authentication.type", equal("UserAssignedIdentity"), _NO_KEYS),
    Rule(
        SITE,
        f"{_STORAGE}.authentication.userAssignedIdentityResourceId",
        own("the region's identity", lambda place: place.id(IDENTITY)),
        _ENTRA,
    ),
    Rule(SITE, "properties.functionAppConfig.runtime.name", equal("python"), "set here, not as a setting"),
    Rule(SITE, "properties.functionAppConfig.runtime.version", equal("3.13"), "what packages are built for"),
    Rule(SITE, f"{_SCALE}.triggers.http.perInstanceConcurrency", equal(16), "Python's own default is 1"),
    Rule(SITE, f"{_SCALE}.instanceMemoryMB", equal(2048), "512 is refused in places"),
    Rule(SITE, f"{_SCALE}.maximumInstanceCount", equal(40), "a flood has a price limit"),
    Rule(SITE, f"{_SCALE}.alwaysReady.0.name", equal("http"), "phones wait for no cold start", _PROD),
    Rule(SITE, f"{_SCALE}.alwaysReady.0.instanceCount", at_least(2), "one in each of two zones", _PROD),
    Rule(SITE, f"{_SCALE}.alwaysReady", equal([]), "nothing is paid for at rest", THROWN_AWAY),
    Rule(f"{PASSWORDS}:ftp", "properties.allow", equal(False), "packages are published with Entra tokens"),
    Rule(f"{PASSWORDS}:scm", "properties.allow", equal(False), "packages are published with Entra tokens"),
    *(Rule(SITE, f"properties.{name}", absent(), _FLEX_REFUSES) for name in _REFUSED_PROPERTIES),
    # What the host is told.
    Rule(SETTINGS, "properties.FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", equal("65536"), "no body is larger"),
    Rule(SETTINGS, "properties.AzureWebJobsDisableHomepage", equal("true"), "150 KB for anybody who asks"),
    Rule(SETTINGS, "properties.AzureWebJobsStorage__credential", equal("managedidentity"), _ENTRA),
    Rule(
        SETTINGS,
        "properties.AzureWebJobsStorage__clientId",
        own("the region's identity", lambda place: f"[{_client_id(place)}]"),
        _ENTRA,
    ),
    Rule(
        SETTINGS,
        "properties.AzureWebJobsStorage__accountName",
        own("the region's own account", lambda place: place.name(ACCOUNT)),
        "no state leaves the region",
    ),
    Rule(
        SETTINGS,
        "properties.AzureWebJobsStorage",
        absent(),
        "a connection string would win over the identity",
    ),
    Rule(
        SETTINGS,
        "properties.APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        own(
            "Entra, as the region's identity",
            lambda place: f"[format('ClientId={{0}};Authorization=AAD', {_client_id(place)})]",
        ),
        "telemetry goes through Entra",
    ),
    Rule(
        SETTINGS,
        "properties.APPLICATIONINSIGHTS_CONNECTION_STRING",
        own("the region's own component", lambda place: f"[{place.group}/logs.connectionString]"),
        "no telemetry without it",
    ),
    *(Rule(SETTINGS, f"properties.{name}", absent(), _FLEX_REFUSES) for name in _REFUSED_SETTINGS),
    # What the app is told: of its own region, each time.
    Rule(
        SETTINGS,
        "properties.AZURE_CLIENT_ID",
        own("the region's identity", lambda place: f"[{_client_id(place)}]"),
        "the one that has the roles",
    ),
    Rule(
        SETTINGS,
        "properties.BROKER_REGION",
        own("the region", lambda place: place.region),
        "events say where they are from",
    ),
    Rule(
        SETTINGS,
        "properties.KEY_VAULT_URL",
        own("the region's own vault", lambda place: f"[{place.group}/keyVault.uri]"),
        "it may read no other",
    ),
    Rule(
        SETTINGS,
        "properties.FACE_ENDPOINT",
        own("the region's own account", lambda place: f"[{place.group}/face.endpoint]"),
        "biometric data stays in its region",
    ),
    Rule(
        SETTINGS,
        "properties.EVENT_GRID_TOPIC_ENDPOINT",
        own("the region's own topic", lambda place: f"[{place.group}/topic.endpoint]"),
        "results stay in their region",
    ),
    # Easy Auth.
    Rule(EASY_AUTH, "properties.platform.enabled", equal(False), "off, and said so", THROWN_AWAY),
    Rule(EASY_AUTH, "properties.platform.enabled", equal(True), "the switch is on", _PROD),
    Rule(
        EASY_AUTH,
        "properties.globalValidation.requireAuthentication",
        equal(True),
        "else it lets everybody in",
        _PROD,
    ),
    Rule(
        EASY_AUTH,
        "properties.globalValidation.unauthenticatedClientAction",
        equal("Return401"),
        "a phone follows no redirect to a login page",
        _PROD,
    ),
    Rule(
        EASY_AUTH,
        "properties.globalValidation.excludedPaths",
        equal(["/api/health"]),
        "probes have no token, and nothing else goes without",
        _PROD,
    ),
    Rule(EASY_AUTH, "properties.httpSettings.requireHttps", equal(True), "tokens travel in headers", _PROD),
    Rule(EASY_AUTH, f"{_CHECKED}.enabled", equal(True), "without a provider no token is looked at", _PROD),
    Rule(EASY_AUTH, f"{_CHECKED}.registration.clientId", equal(_CLIENT), "the registration asked for", _PROD),
    Rule(
        EASY_AUTH,
        f"{_CHECKED}.registration.openIdIssuer",
        equal(REQUIRED_VARIABLES["BROKER_AUTH_ISSUER"]),
        "tokens of one tenant",
        _PROD,
    ),
    Rule(
        EASY_AUTH,
        f"{_CHECKED}.validation.allowedAudiences",
        equal([_CLIENT, f"api://{_CLIENT}"]),
        "a token for something else is none for the broker",
        _PROD,
    ),
    # Front Door in front, or not.
    Rule(SITE, f"{_ACCESS}DefaultAction", equal("Deny"), "Front Door alone may call", _PROD),
    Rule(
        SITE,
        _ACCESS,
        own("our Front Door alone", _only_our_front_door, differs=False),
        "anybody has a Front Door: ours alone may call",
        _PROD,
    ),
    Rule(SITE, f"{_ACCESS}DefaultAction", equal("Allow"), "phones call it themselves", THROWN_AWAY),
    Rule(SITE, _ACCESS, equal([]), "phones call it themselves", THROWN_AWAY),
    Rule(SETTINGS, "properties.CLIENT_ADDRESS", equal("frontdoor"), "the peer is Front Door", _PROD),
    Rule(SETTINGS, "properties.CLIENT_ADDRESS", equal("appservice"), "the peer is the phone", THROWN_AWAY),
    Rule(
        SETTINGS,
        "properties.FRONT_DOOR_ID",
        own("ours", lambda place: f"[{place.shared_group}/profile.frontDoorId]", differs=False),
        "anybody has a Front Door: ours alone is believed",
        _PROD,
    ),
    Rule(SETTINGS, "properties.FRONT_DOOR_ID", equal(""), "there is none", THROWN_AWAY),
    Rule(
        SETTINGS,
        "properties.PUBLIC_BASE_URL",
        own(
            "the region's own endpoint",
            lambda place: (
                f"[format('https://{{0}}', {place.shared_group}/profile.regionHostNames[{place.number}])]"
            ),
        ),
        "a session stays there",
        _PROD,
    ),
    Rule(SETTINGS, "properties.PUBLIC_BASE_URL", equal(""), "the name of the app", THROWN_AWAY),
)
