"""The clouds of Azure, by the ends of the host names of their services."""

from dataclasses import astuple
from typing import Final
from urllib.parse import urlsplit

from shared.values import immutable


@immutable
class Cloud:
    """One cloud. `https://` before `face`, `vault` or `events` makes the audience of its Entra tokens."""

    face: str
    vault: str
    events: str
    storage: str

    def has(self, url: str) -> bool:
        """Whether the host of a URL belongs to one of these services."""
        host = urlsplit(url).hostname or ""
        return any(host.endswith(f".{end}") for end in astuple(self))


PUBLIC: Final = Cloud(
    "cognitiveservices.azure.com", "vault.azure.net", "eventgrid.azure.net", "core.windows.net"
)
# https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure#guidance-for-developers
GOVERNMENT: Final = Cloud(
    "cognitiveservices.azure.us", "vault.usgovcloudapi.net", "eventgrid.azure.us", "core.usgovcloudapi.net"
)
# https://learn.microsoft.com/azure/china/resources-developer-guide
CHINA: Final = Cloud(
    "cognitiveservices.azure.cn", "vault.azure.cn", "eventgrid.azure.cn", "core.chinacloudapi.cn"
)
CLOUDS: Final = (PUBLIC, GOVERNMENT, CHINA)


def cloud_of(url: str | None) -> Cloud:
    """The cloud that a URL leads to; the public one for other URLs, such as those of this machine, and for None."""
    return next((cloud for cloud in CLOUDS if url and cloud.has(url)), PUBLIC)
