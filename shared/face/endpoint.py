"""The Face that the broker may call: API version, and host (a region, a custom subdomain or a local simulator)."""

import re

from shared.cloud import CLOUDS
from shared.values import immutable

API_VERSIONS = ("v1.1-preview.1", "v1.2", "v1.3-preview.1")
"""The versions of the Face API that the broker can call."""

# The regions on the vendor's page of the create operation, v1.1-preview.1.
# fmt: off
REGION_NAMES = (
    "australiaeast", "brazilsouth", "canadacentral", "centralindia", "centralus", "eastasia", "eastus",
    "eastus2", "francecentral", "germanywestcentral", "italynorth", "japaneast", "japanwest", "jioindiawest",
    "koreacentral", "northcentralus", "northeurope", "norwayeast", "qatarcentral", "southafricanorth",
    "southcentralus", "southeastasia", "swedencentral", "switzerlandnorth", "switzerlandwest", "uaenorth",
    "uksouth", "westcentralus", "westeurope", "westus", "westus2", "westus3",
)
# fmt: on

_CUSTOM_SUBDOMAIN = re.compile(
    rf"https://[a-z0-9][a-z0-9-]{{0,62}}[a-z0-9]\.({'|'.join(re.escape(cloud.face) for cloud in CLOUDS)})"
)
_LOOPBACK = re.compile(r"https?://(?:127\.0\.0\.1|localhost|\[::1\])(?::([1-9][0-9]{0,4}))?")
_HIGHEST_PORT = 65535


@immutable
class Endpoint:
    """A base URL without a path, and whether it takes Entra tokens.

    Keys work everywhere; "regional endpoints do not support Microsoft Entra authentication":
    https://learn.microsoft.com/azure/ai-services/authentication
    """

    base_url: str
    takes_entra_tokens: bool


def regional_endpoint(region: str) -> Endpoint:
    """Return the endpoint of a region such as `westeurope`; raises `ValueError` for an unknown one."""
    if region not in REGION_NAMES:
        raise ValueError("must be the name of an Azure region that has Face, in the form westeurope")
    return Endpoint(f"https://{region}.api.cognitive.microsoft.com", takes_entra_tokens=False)


def custom_endpoint(url: str) -> Endpoint:
    """Check the URL of a custom subdomain or of loopback; raises `ValueError`, whose text omits the URL."""
    base_url = url.removesuffix("/")
    if _CUSTOM_SUBDOMAIN.fullmatch(base_url) or _is_loopback(base_url):
        return Endpoint(base_url, takes_entra_tokens=True)
    raise ValueError(
        "must be https://NAME.cognitiveservices.azure.com, or .us or .cn (NAME: 2 to 64 of a-z, 0-9 and - inside), "
        "or http or https to 127.0.0.1, localhost or [::1] with a port; nothing may follow"
    )


def _is_loopback(base_url: str) -> bool:
    match = _LOOPBACK.fullmatch(base_url)
    return match is not None and int(match[1] or 1) <= _HIGHEST_PORT
