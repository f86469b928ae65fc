"""`main.bicep`: the parameters that no committed environment uses."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from shared.face.endpoint import REGION_NAMES
from tests.infra import rules
from tests.infra.arm_snapshot import ABSENT, Snapshot, plain, read
from tests.infra.bicep_compiler import SWITCHED, Bicep, Compiled, parameters_of, snapshot_with, written
from tests.infra.rule import Place, Rule, rules_for

Deploy = Callable[[str], Snapshot]


@pytest.fixture
def deploy(bicep: Bicep, tmp_path: Path) -> Deploy:
    """Predict what a parameter file with this text deploys."""
    return lambda text: snapshot_with(bicep, text, tmp_path)


def test_with_identity_no_key_exists(switched: Snapshot) -> None:
    """An app that calls Face with its identity needs no key: the account has none, and nor does the vault."""
    [face] = switched.find(rules.FACE)
    secrets = [secret["name"].split("/")[-1] for secret in switched.find(rules.SECRETS)]

    assert face["properties"]["disableLocalAuth"] is True
    assert secrets == ["id-pepper"]
    assert not [text for _, text in switched.texts() if "listKeys" in text]


def test_only_the_chosen_regions_are_deployed(switched: Snapshot) -> None:
    """The other regions stay as they are, and their endpoints stay behind the firewall."""
    [policy] = switched.find(rules.PROTECTION)
    [association] = policy["properties"]["parameters"]["associations"]

    assert switched.region_groups() == ["rg-liveness-test-wus"]
    assert [domain["id"].split("/")[-1] for domain in association["domains"]] == [
        "liveness-test",
        "liveness-test-wus",
        "liveness-test-eus",
        "liveness-example-com",
        "wus-example-com",
        "eus-example-com",
    ]


_DOMAIN = f"{rules.PROFILE}/customDomains"
_ENTRA = "identityProviders.azureActiveDirectory"
_APPLICATIONS = f"{_ENTRA}.validation.defaultAuthorizationPolicy.allowedApplications"
_ORIGINS = ["https://a.example.com", "https://b.example.com"]
_PUBLISHERS = [
    {"name": f"publish-{number}", "priority": 100 + number, "action": "Allow", "ipAddress": addresses}
    for number, addresses in enumerate(["192.0.2.7/32", "198.51.100.0/24"])
]


def _told(kind: str, percent: int) -> Callable[[Place], object]:
    """The people who are mailed when the costs reach this part of the budget."""
    return lambda place: {
        "enabled": True,
        "operator": "GreaterThan",
        "threshold": percent,
        "thresholdType": kind,
        "contactEmails": ["a@example.com"],
        "contactGroups": [place.id(rules.ACTION_GROUP)],
    }


SWITCHES = (
    *rules_for(
        rules.FACE,
        ("location", "westus2", "faceLocation"),
        ("sku.name", "F0", "faceSku"),
        ("restore", True, "restoreFace"),
        ("disableLocalAuth", True, "faceAuth"),
    ),
    *rules_for(rules.ACCOUNT, ("sku.name", "Standard_LRS", "storageSku")),
    *rules_for(
        rules.SITE,
        ("tags.azd-service-name", "api", "azdServiceName"),
        ("siteConfig.scmIpSecurityRestrictionsDefaultAction", "Deny", "publishFrom"),
        ("siteConfig.scmIpSecurityRestrictions", _PUBLISHERS, "publishFrom"),
        ("siteConfig.cors.allowedOrigins", _ORIGINS, "Easy Auth refuses preflights, and comes after this"),
        ("virtualNetworkSubnetId", ABSENT, "isolated"),
    ),
    *rules_for(
        rules.SETTINGS,
        ("ABUSE_IS_FAILURE", "false", "abuseIsFailure"),
        ("ALLOW_RESULTS_TO_CLIENT", "true", "allowResultsToClient"),
        ("CLIENT_REFERENCE", "caller", "clientReference"),
        ("THROTTLE_REFERENCE", "1/d", "throttleReference"),
        ("THROTTLE_OVERRIDES", "an-application client off", "throttleOverrides"),
        ("ALLOWED_ORIGINS", ",".join(_ORIGINS), "allowedOrigins"),
        ("AUTH_AUDIENCE", "an-audience,another", "authAudience"),
        ("AUTH_ISSUER", "https://issuer.example.com/v2.0", "authIssuer"),
        ("CLIENT_AUTH", "jwt", "clientAuth"),
        ("FACE_AUTH", "identity", "faceAuth"),
        ("FACE_MAX_TPS", "5", "faceMaxTps"),
        ("THROTTLE_DEVICE", "off", "throttleDevice"),
        ("THROTTLE_MODE", "observe", "throttleMode"),
        ("PUBLIC_BASE_URL", "https://wus.example.com", "domain"),
    ),
    *rules_for(
        f"{rules.SITE}/config:authsettingsV2",
        ("platform.enabled", True, "easyAuth"),
        ("globalValidation.requireAuthentication", True, "easyAuth"),
        ("globalValidation.unauthenticatedClientAction", "Return401", "phones do not follow login redirects"),
        ("globalValidation.excludedPaths", ["/api/health"], "probes have no token, and all others need one"),
        ("httpSettings.requireHttps", True, "tokens travel in headers"),
        (f"{_ENTRA}.enabled", True, "without a provider no token is checked"),
        (f"{_ENTRA}.registration.clientId", "a-client", "clientId"),
        (f"{_ENTRA}.registration.openIdIssuer", "https://issuer.example.com/v2.0", "authIssuer"),
        (f"{_ENTRA}.validation.allowedAudiences", ["an-audience", "another"], "authAudience"),
        (_APPLICATIONS, ["an-application"], "allowedApplications"),
    ),
    *rules_for(rules.WEB_TEST, ("Enabled", True, "alertEmails")),
    *rules_for(
        rules.BUDGET,
        ("amount", 200, "budget"),
        ("timePeriod", {"startDate": "2026-12-01T00:00:00Z"}, "budget"),
        ("notifications.forecast", _told("Forecasted", 100), "budget"),
        ("notifications.actual", _told("Actual", 80), "budget"),
    ),
    *rules_for(rules.GROUP, ("location", "westeurope", "location"), shared=True),
    *rules_for(rules.PROFILE, ("sku.name", "Premium_AzureFrontDoor", "tier"), shared=True),
    *rules_for(
        rules.FIREWALL,
        ("sku.name", "Premium_AzureFrontDoor", "tier"),
        ("customRules.rules.1.rateLimitThreshold", 50, "rateLimitPerMinute"),
        ("managedRules.managedRuleSets.0.ruleSetType", "Microsoft_DefaultRuleSet", "tier"),
        shared=True,
    ),
)
"""The reason of each rule is the parameter that sets the property."""


@pytest.mark.parametrize("rule", SWITCHES, ids=str)
def test_parameter_sets_its_property(switched: Snapshot, rule: Rule) -> None:
    """Each parameter reaches its resource."""
    assert rule.broken(switched) == []


# By message: texts of the parameters above, and what takes the place of each.
_ADDRESSES = ("not an address", "192.0.2.7", "192.0.2.256/32", "192.0.2/24", "192.0.2.0/33", "::/129")
_NO_HOSTS = ("https://wus.example.com", ".example.com-", "wus.-a.example.com", "wus..example.com")
_BASE_URLS = ("https://a.example.com/", "https://a.example.com/api", "http://a.example.com")
_DAYS = ("2026-12-15", "01.12.2026", "2026-13-01", "2O26-12-01")
_CODE = "holds lower-case letters and digits alone, and not"
MISTAKES = {
    "easyAuth needs clientAuth jwt with one authIssuer and without authSecretName": [
        ("'jwt'", "'none'"),
        ("v2.0']", "v2.0', 'https://b.example.com']"),
        ("authAudience", "authSecretName: 'a'\n  authAudience"),
    ],
    "allowedApplications holds client ids, and none may be empty": [("['an-application']", "['']")],
    "clientAuth jwt needs authAudience": [("authAudience: ['an-audience', 'another']", "")],
    "clientAuth jwt needs authIssuer or authSecretName": [
        ("authIssuer: ['https://issuer.example.com/v2.0']", "")
    ],
    f'environmentName {_CODE} "Test"': [("'test'", "'Test'")],
    f'environmentName {_CODE} "te-st"': [("'test'", "'te-st'")],
    'environmentName has two to ten characters, which "abcdefghijk" has not': [("'test'", "'abcdefghijk'")],
    f'the code of a region {_CODE} "w_us"': [("'wus'", "'w_us'")],
    f'the name of a region {_CODE} "West US"': [("'westus'", "'West US'")],
    f'faceLocation {_CODE} "West US 2"': [("'westus2'", "'West US 2'")],
    "each region needs a code of its own: wus, wus": [("'eus'", "'wus'")],
    "there is no region wus, but wUS, eus": [("code: 'wus'", "code: 'wUS'")],
    "there is no region weu, but wus, eus": [("['wus']", "['wus', 'weu']")],
    "westus has no zones: storageSku cannot be Standard_ZRS": [("Standard_LRS", "Standard_ZRS")],
    "westus has no zones: zoneRedundant cannot be true": [
        ("code: 'wus'", "code: 'wus', zoneRedundant: true")
    ],
    "westus3 is zoneRedundant: storageSku cannot be Standard_LRS": [
        ("'westus', code: 'wus'", "'westus3', code: 'wus', zoneRedundant: true")
    ],
    "domain is a host name in lower case": [
        ("'liveness.example.com'", "'liveness'"),
        *(("'wus.example.com'", f"'{host}'") for host in (*_NO_HOSTS, f"{'a' * 64}.example.com")),
    ],
    "domain is another one for each region and for frontDoor, where a hyphen counts as a dot: ": [
        ("'eus.example.com'", "'wus.example.com'"),
        ("'eus.example.com'", "'wus-example.com'"),
        ("'liveness.example.com'", "'wus.example.com'"),
    ],
    "publicBaseUrl starts with https://, and what follows it is /api": [
        ("domain: 'wus.example.com'", f"publicBaseUrl: '{url}'") for url in _BASE_URLS
    ],
    **{
        f'publishFrom holds address ranges such as 192.0.2.7/32, and not "{text}"': [("192.0.2.7/32", text)]
        for text in _ADDRESSES
    },
    **{
        f'budget.from is the first day of a month, such as 2026-12-01, and not "{day}"': [("2026-12-01", day)]
        for day in _DAYS
    },
}


@pytest.mark.parametrize(
    ("message", "right", "wrong"),
    [(message, *texts) for message, mistakes in MISTAKES.items() for texts in mistakes],
)
def test_bad_parameter_is_refused(deploy: Deploy, message: str, right: str, wrong: str) -> None:
    """The build fails with a clear message; Azure would fail in the middle of the deployment."""
    with pytest.raises(AssertionError, match=re.escape(message)):
        deploy(SWITCHED.replace(right, wrong))


def test_ranges_of_version_6_may_publish(deploy: Deploy) -> None:
    """App Service takes both kinds of address."""
    [site] = deploy(SWITCHED.replace("192.0.2.7/32", "2001:db8::/32")).find(rules.SITE)

    [first, _] = site["properties"]["siteConfig"]["scmIpSecurityRestrictions"]
    assert first["ipAddress"] == "2001:db8::/32"


@pytest.mark.parametrize("region", ["westus", "ukwest"])
def test_storage_is_as_redundant_as_the_region_allows(deploy: Deploy, region: str) -> None:
    """By default it is in all zones of a region, or in one place if the region has none. A region may lack Face."""
    text = SWITCHED.replace(", storageSku: 'Standard_LRS'", "").replace("['wus']", "[]")
    accounts = deploy(text.replace("'westus'", f"'{region}'")).find(rules.ACCOUNT)

    assert [(one["location"], one["sku"]["name"]) for one in accounts] == [
        (region, "Standard_LRS"),
        ("eastus", "Standard_ZRS"),
    ]


def test_a_region_over_zones_keeps_two_instances(deploy: Deploy) -> None:
    """Flex Consumption has at least two always-ready instances there, whether they were asked for or not."""
    text = SWITCHED.replace("alwaysReadyInstances: 3", "zoneRedundant: true").replace("['wus']", "['eus']")
    [site] = deploy(text).find(rules.SITE)

    scale = site["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert scale["alwaysReady"] == [{"name": "http", "instanceCount": 2}]


def test_azd_gives_each_region_with_face_another_code(bicep: Bicep, tmp_path: Path) -> None:
    """Neighbours such as westus and westus2 get different names; an unknown region is refused with a sentence."""
    text = parameters_of("azd").read_text("utf-8")

    def compiled(location: str) -> Compiled:
        chosen = text.replace("readEnvironmentVariable('AZURE_LOCATION', 'westeurope')", f"'{location}'")
        return bicep.compile_parameters(written(bicep, chosen, tmp_path))

    regions = [compiled(location).template["parameters"]["regions"]["value"][0] for location in REGION_NAMES]
    assert [region["name"] for region in regions] == list(REGION_NAMES)
    assert len({region["code"] for region in regions}) == len(REGION_NAMES)
    for location in ("West Europe", "ukwest", ""):
        assert "is not the name of a region with Face" in " ".join(compiled(location).messages)


@pytest.mark.parametrize("region", ["usgovvirginia", "usdodeast", "chinanorth3"])
def test_storage_in_another_cloud_has_uris_and_no_name(deploy: Deploy, region: str) -> None:
    """The name leads to the public cloud, and an older extension prefers it to the URIs."""
    other = deploy(SWITCHED.replace("'westus'", f"'{region}'"))
    [settings], [account] = other.find(rules.SETTINGS), other.find(rules.ACCOUNT)
    uris = {
        f"AzureWebJobsStorage__{part}ServiceUri": f"[reference({account['id']}).primaryEndpoints.{part}]"
        for part in ("blob", "queue", "table")
    }

    deployed = {name: plain(value) for name, value in settings["properties"].items() if "Storage__" in name}
    assert deployed.keys() - uris.keys() == {
        "AzureWebJobsStorage__clientId",
        "AzureWebJobsStorage__credential",
    }
    assert deployed.items() >= uris.items()


def test_the_longest_names_fit(deploy: Deploy) -> None:
    """A function app has 32 characters that count, a vault and a storage account have 24."""
    longest = deploy(SWITCHED.replace("'test'", "'abcdefghij'").replace("'wus'", "'vwxyz'"))

    for kind, limit in ((rules.SITE, 32), (rules.VAULT, 24), (rules.ACCOUNT, 24), (rules.TOPIC, 50)):
        assert [len(one["name"]) <= limit for one in longest.find(kind)] == [True]


def test_a_backend_may_sign_tokens_with_a_secret_of_the_vault(deploy: Deploy) -> None:
    """A secret takes the place of an issuer; Easy Auth does not know such tokens, and is off.

    The app then answers preflights itself: the platform's answer would hide its headers.
    """
    text = re.sub("param easyAuth.+", "", SWITCHED).replace("authIssuer: [", "authSecretName: 'grants' //")
    deployed = deploy(text)
    [settings], [site] = deployed.find(rules.SETTINGS), deployed.find(rules.SITE)

    assert site["properties"]["siteConfig"]["cors"] == {"allowedOrigins": []}
    assert settings["properties"]["AUTH_SECRET_NAME"] == "grants"
    assert settings["properties"]["AUTH_ISSUER"] == ""


def test_a_region_that_is_alone_is_not_probed(deploy: Deploy, switched: Snapshot) -> None:
    """With one origin Front Door ignores probes. A deployment of one region out of two still has two origins."""
    alone = deploy(re.sub(r"  \{ name: 'eastus'.+\n", "", SWITCHED))
    kind, path = f"{rules.ORIGIN_GROUP}:all-regions", "properties.healthProbeSettings"
    [origins], [origin] = switched.find(kind), alone.find(kind)

    assert read(origins, f"{path}.probePath") == "/api/health"
    assert read(origin, path) is ABSENT


def test_the_salt_changes_every_name_that_is_taken_worldwide(deploy: Deploy, switched: Snapshot) -> None:
    """Deleted vaults and Face accounts still hold their names; another salt gives free names."""
    salted = deploy(SWITCHED.replace("'again'", "'and again'"))

    for kind in ("Storage/storageAccounts", "KeyVault/vaults", "CognitiveServices/accounts", "Web/sites"):
        [before] = switched.find(f"Microsoft.{kind}")
        [after] = salted.find(f"Microsoft.{kind}")
        assert before["name"] != after["name"]


def test_front_door_has_the_custom_domains(switched: Snapshot, templates: Mapping[str, Compiled]) -> None:
    """Each has a certificate of Azure, its own endpoint, and a TXT record in the outputs."""
    domains = {one["properties"]["hostName"]: one for one in switched.find(_DOMAIN)}
    routed = {
        route["name"].split("/")[1]: [one["id"] for one in route["properties"]["customDomains"]]
        for route in switched.find(rules.ROUTE)
    }

    assert set(domains) == {"liveness.example.com", "wus.example.com", "eus.example.com"}
    for one in domains.values():
        assert one["properties"]["tlsSettings"] == {
            "certificateType": "ManagedCertificate",
            "minimumTlsVersion": "TLS12",
        }
    assert routed == {
        "liveness-test": [domains["liveness.example.com"]["id"]],
        "liveness-test-wus": [domains["wus.example.com"]["id"]],
    }
    assert "validationToken" in str(templates["modules/front-door.bicep"].template["outputs"]["domains"])
    assert "profile" in str(switched.outputs["domains"])


def test_an_app_without_front_door_has_its_custom_domain(
    deploy: Deploy, templates: Mapping[str, Compiled]
) -> None:
    """The name is bound without a certificate once, because Azure issues none for a name that the app does not have."""
    alone = deploy(re.sub("param frontDoor.+", "", SWITCHED))
    [settings] = alone.find(rules.SETTINGS)
    bindings = {one["properties"]["sslState"]: one for one in alone.find(f"{rules.SITE}/hostNameBindings")}
    [certificate] = alone.find(f"{rules.SITE}/certificates")
    parts = templates["modules/custom-domain.bicep"].template["resources"]

    assert settings["properties"]["PUBLIC_BASE_URL"] == "https://wus.example.com"
    assert set(bindings) == {"Disabled", "SniEnabled"}
    assert {one["name"].split("/")[-1] for one in bindings.values()} == {"wus.example.com"}
    assert certificate["properties"] == {"canonicalName": "wus.example.com"}
    assert "thumbprint" in bindings["SniEnabled"]["properties"]["thumbprint"]
    assert parts["functionApp::plain"]["@options"] == {"onlyIfNotExists": []}
    assert "functionApp::plain" in parts["functionApp::certificate"]["dependsOn"]
    assert "functionApp::certificate" in parts["encrypted"]["dependsOn"]
    assert not alone.find(_DOMAIN)


@pytest.mark.parametrize("domain", ["", "domain: 'wus.example.com', "])
def test_phones_may_call_a_gateway_of_the_operator(deploy: Deploy, domain: str) -> None:
    """Its URL, with a prefix, takes the place of the host name, and of a domain that does not work yet."""
    url = "publicBaseUrl: 'https://api.example.com/liveness'"
    text = SWITCHED.replace("domain: 'wus.example.com'", f"{domain}{url}")
    [settings] = deploy(text).find(rules.SETTINGS)

    assert settings["properties"]["PUBLIC_BASE_URL"] == "https://api.example.com/liveness"
