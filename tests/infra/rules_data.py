"""What must hold where data is kept: storage, vault, Face, events."""

from tests.infra.bicep_compiler import THROWN_AWAY
from tests.infra.expectations import Rule, absent, equal, matching, own, present
from tests.infra.resource_types import (
    ACCOUNT,
    CONTAINERS,
    FACE,
    LIFECYCLE,
    QUEUES,
    SECRETS,
    SUBSCRIPTION,
    TOPIC,
    VAULT,
)

_NO_KEYS = "nothing can be reached with a key that leaks"
_RESIDENCY = "biometric data stays in its region"
_PRIVATE = "isolated: nobody outside of the network reaches it"
_PROD = ("prod",)
_KEPT = "properties.policy.rules.0"
_DELIVERED = "properties.deliveryWithResourceIdentity"
_DEAD = "properties.deadLetterWithResourceIdentity"
_OWN_ACCOUNT = own("the region's own account", lambda place: place.id(ACCOUNT))

RULES = (
    # Storage.
    Rule(ACCOUNT, "sku.name", equal("Standard_ZRS"), f"outlives a zone, and {_RESIDENCY}"),
    Rule(ACCOUNT, "properties.allowSharedKeyAccess", equal(False), _NO_KEYS),
    Rule(ACCOUNT, "properties.defaultToOAuthAuthentication", equal(True), _NO_KEYS),
    Rule(ACCOUNT, "properties.allowBlobPublicAccess", equal(False), "dead letters hold results"),
    Rule(ACCOUNT, "properties.allowCrossTenantReplication", equal(False), _RESIDENCY),
    Rule(ACCOUNT, "properties.allowedCopyScope", equal("AAD"), "nothing is copied to another tenant"),
    Rule(ACCOUNT, "properties.minimumTlsVersion", matching("^TLS1_[23]$"), "TLS 1.2 at least"),
    Rule(ACCOUNT, "properties.supportsHttpsTrafficOnly", equal(True), "tokens travel in headers"),
    Rule(ACCOUNT, "properties.publicNetworkAccess", equal("Enabled"), "else no dead letters get there"),
    Rule(ACCOUNT, "properties.networkAcls.defaultAction", equal("Deny"), _PRIVATE, _PROD),
    Rule(ACCOUNT, "properties.networkAcls.ipRules", absent(), _PRIVATE),
    Rule(
        ACCOUNT,
        "properties.networkAcls.bypass",
        equal("AzureServices"),
        "Event Grid keeps dead letters there",
    ),
    Rule(CONTAINERS, "properties.publicAccess", equal("None"), "dead letters hold results"),
    Rule(f"{CONTAINERS}:packages", "apiVersion", present(), "the package goes there"),
    Rule(
        f"{CONTAINERS}:dead-letters",
        "apiVersion",
        present(),
        "an event that cannot be delivered is not lost",
    ),
    Rule(f"{QUEUES}:liveness-results", "apiVersion", present(), "the trigger listens to it"),
    Rule(f"{QUEUES}:liveness-results-poison", "apiVersion", present(), "messages that fail are kept"),
    Rule(LIFECYCLE, f"{_KEPT}.type", equal("Lifecycle"), "dead letters hold results"),
    Rule(LIFECYCLE, f"{_KEPT}.enabled", absent(), "it is by default"),
    Rule(
        LIFECYCLE,
        f"{_KEPT}.definition.filters",
        equal({"blobTypes": ["blockBlob"], "prefixMatch": ["dead-letters/"]}),
        "dead letters, and not the package",
    ),
    Rule(
        LIFECYCLE,
        f"{_KEPT}.definition.actions.baseBlob.delete.daysAfterCreationGreaterThan",
        equal(30),
        "results are kept for as long as records",
    ),
    # Key Vault.
    Rule(VAULT, "properties.enableRbacAuthorization", equal(True), "one way to say who may read"),
    Rule(VAULT, "properties.enableSoftDelete", equal(True), "a key that is gone takes the service with it"),
    Rule(VAULT, "properties.enablePurgeProtection", equal(True), "nobody deletes it for good", _PROD),
    Rule(
        VAULT,
        "properties.enablePurgeProtection",
        absent(),
        "false is refused; it is thrown away",
        THROWN_AWAY,
    ),
    Rule(VAULT, "properties.softDeleteRetentionInDays", equal(90), "time to notice; never changeable"),
    Rule(VAULT, "properties.enabledForTemplateDeployment", equal(False), "no template reads secrets"),
    Rule(VAULT, "properties.publicNetworkAccess", equal("Disabled"), _PRIVATE, _PROD),
    Rule(VAULT, "properties.networkAcls.defaultAction", equal("Deny"), _PRIVATE, _PROD),
    Rule(VAULT, "properties.networkAcls.bypass", equal("AzureServices"), "the template writes the key there"),
    Rule(VAULT, "properties.networkAcls.ipRules", absent(), _PRIVATE),
    Rule(
        f"{SECRETS}:face-key",
        "properties.value",
        own("a key of the region's own Face", lambda place: f"[listKeys({place.id(FACE)}).key1]"),
        "straight from Face",
    ),
    Rule(
        f"{SECRETS}:id-pepper",
        "properties.value",
        equal("[format('{0}{1}', newGuid(), newGuid())]"),
        "made up, by nobody",
    ),
    # Face.
    Rule(FACE, "kind", equal("Face"), "what it is all about"),
    Rule(
        FACE,
        "properties.customSubDomainName",
        own("its name", lambda place: place.name(FACE)),
        "Entra tokens need it; never changeable",
    ),
    Rule(FACE, "properties.disableLocalAuth", equal(False), "the app calls it with a key here"),
    Rule(FACE, "properties.publicNetworkAccess", equal("Enabled"), "phones call it"),
    Rule(FACE, "properties.networkAcls", equal({"defaultAction": "Allow"}), "phones call it, from anywhere"),
    # Event Grid.
    Rule(
        TOPIC, "properties.inputSchema", equal("CloudEventSchemaV1_0"), "what is published; never changeable"
    ),
    Rule(TOPIC, "properties.dataResidencyBoundary", equal("WithinRegion"), _RESIDENCY),
    Rule(TOPIC, "properties.disableLocalAuth", equal(True), _NO_KEYS),
    Rule(TOPIC, "properties.minimumTlsVersionAllowed", equal("1.2"), "TLS 1.2 at least"),
    Rule(TOPIC, "properties.publicNetworkAccess", equal("Disabled"), _PRIVATE, _PROD),
    Rule(TOPIC, "identity.type", equal("SystemAssigned"), "delivers and dead-letters without keys"),
    *(
        Rule(SUBSCRIPTION, path, expected, why, THROWN_AWAY)
        for path, expected, why in (
            ("properties.eventDeliverySchema", equal("CloudEventSchemaV1_0"), "as it was published"),
            (
                "properties.filter.includedEventTypes",
                equal(["liveness.session.completed", "liveness.session.expired"]),
                "each way in which a session ends",
            ),
            ("properties.retryPolicy.maxDeliveryAttempts", equal(30), "the most there is"),
            ("properties.retryPolicy.eventTimeToLiveInMinutes", equal(1440), "the most there is"),
            (f"{_DELIVERED}.identity.type", equal("SystemAssigned"), _NO_KEYS),
            (f"{_DELIVERED}.destination.endpointType", equal("StorageQueue"), "an example to look at"),
            (f"{_DELIVERED}.destination.properties.resourceId", _OWN_ACCOUNT, _RESIDENCY),
            (
                f"{_DELIVERED}.destination.properties.queueName",
                equal("liveness-events"),
                "an example to look at",
            ),
            (f"{_DEAD}.identity.type", equal("SystemAssigned"), _NO_KEYS),
            (f"{_DEAD}.deadLetterDestination.endpointType", equal("StorageBlob"), "off by default"),
            (f"{_DEAD}.deadLetterDestination.properties.resourceId", _OWN_ACCOUNT, _RESIDENCY),
            (
                f"{_DEAD}.deadLetterDestination.properties.blobContainerName",
                equal("dead-letters"),
                "off by default: events would be dropped",
            ),
        )
    ),
)
