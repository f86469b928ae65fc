"""The client's address, taken only from header fields that the platform writes."""

from collections.abc import Mapping
from hmac import compare_digest
from ipaddress import IPv6Address, ip_address, ip_network

UNVOUCHED = "unvouched"
"""The network of all requests that lack the platform's header. They share its limits, so going around the front that
writes the header gains nothing."""


def client_network(headers: Mapping[str, str], source: str, front_door_id: str | None = None) -> str | None:
    """The client's network: an IPv4 address, the /64 of an IPv6 address, or None where addresses do not count.

    `source` is the setting `CLIENT_ADDRESS`.

    App Service overwrites `client-ip` with the peer that it saw, port included
    (Azure/app-service-linux-docs, headers.md). Behind Front Door that peer is Front Door, and `X-Azure-SocketIP` is the
    client; it counts only with the id of the operator's own Front Door. `X-Azure-ClientIP` and `X-Forwarded-For` are
    never read: the client can write them. A request without the platform's header is `UNVOUCHED`.
    """
    if source == "none":
        return None
    if source == "appservice":
        return network(headers.get("client-ip", "")) or UNVOUCHED
    sent = headers.get("x-azure-fdid", "").lower().encode("utf-8", "replace")
    if not front_door_id or not compare_digest(sent, front_door_id.lower().encode()):
        return UNVOUCHED
    return network(headers.get("x-azure-socketip", "")) or UNVOUCHED


def network(text: str) -> str | None:
    """The network of an address such as `a.b.c.d`, `a.b.c.d:port`, `v6` or `[v6]:port`, or None for other text."""
    try:
        address = ip_address(_without_port(text.strip()))
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        # A mapped IPv4 address masked as IPv6 would put all of IPv4 into one bucket (CVE-2026-30827).
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
