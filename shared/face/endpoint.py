"""The Face that the broker may call: API version, and host (a region, a custom subdomain or a local simulator)."""

import re

from shared.cloud import CLOUDS

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


def custom_endpoint(url: str) -> str:
    """Return the base URL of a custom subdomain or of this machine; raises `ValueError` for any other URL.

    The name of a subdomain has 2 to 64 characters. Nothing follows host and port but one slash, which is cut off.
    """
    base_url = url.removesuffix("/")
    local = _LOOPBACK.fullmatch(base_url)
    if _CUSTOM_SUBDOMAIN.fullmatch(base_url) or (local and int(local[1] or 1) <= _HIGHEST_PORT):
        return base_url
    raise ValueError("expected the URL of a custom subdomain, or of this machine")
