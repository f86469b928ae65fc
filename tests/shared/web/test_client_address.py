"""Whose address a request comes from."""

import pytest

from shared.web.client_address import UNVOUCHED, client_network, network

DOOR = "0f8fad5b-d9cb-469f-a165-70867728950e"
FORGED = {"x-forwarded-for": "198.51.100.1", "x-azure-clientip": "198.51.100.2", "x-real-ip": "198.51.100.3"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:49828", "203.0.113.7"),
        (" 203.0.113.7:1 ", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:49828", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("", None),
        ("localhost", None),
        ("203.0.113.7,198.51.100.1", None),
        ("203.0.113", None),
        ("203.0.113.007", None),
        ("203.0.113.7:x:y", None),
    ],
)
def test_address_is_read_down_to_what_counts(text: str, expected: str | None) -> None:
    """Ports go, IPv6 counts by its /64, mapped IPv4 counts as IPv4, and anything else is no address."""
    assert network(text) == expected


PEER = {"x-azure-socketip": "203.0.113.7"}
NONE, APP_SERVICE, FRONT_DOOR = "none", "appservice", "frontdoor"


@pytest.mark.parametrize(
    ("source", "own_id", "sent", "expected"),
    [
        # With `none` every header field could be the caller's own.
        (NONE, None, {"client-ip": "203.0.113.7:1"} | PEER, None),
        (APP_SERVICE, None, {"client-ip": "203.0.113.7:49828"}, "203.0.113.7"),
        (APP_SERVICE, None, {}, UNVOUCHED),
        (APP_SERVICE, None, {"client-ip": ""}, UNVOUCHED),
        (APP_SERVICE, None, {"client-ip": "x"}, UNVOUCHED),
        (APP_SERVICE, None, {"client-ip": "1.2.3.4, 9.9.9.9"}, UNVOUCHED),
        # Behind the operator's own Front Door its TCP peer counts. Anybody can have another one.
        (FRONT_DOOR, DOOR, PEER | {"x-azure-fdid": DOOR.upper(), "client-ip": "10.0.0.1:1"}, "203.0.113.7"),
        (FRONT_DOOR, DOOR, {"x-azure-fdid": DOOR}, UNVOUCHED),
        (FRONT_DOOR, DOOR, PEER, UNVOUCHED),
        (FRONT_DOOR, DOOR, PEER | {"x-azure-fdid": ""}, UNVOUCHED),
        (FRONT_DOOR, DOOR, PEER | {"x-azure-fdid": DOOR[:-1] + "f"}, UNVOUCHED),
        (FRONT_DOOR, DOOR, PEER | {"x-azure-fdid": "é"}, UNVOUCHED),
        (FRONT_DOOR, None, PEER, UNVOUCHED),
        (FRONT_DOOR, "", PEER | {"x-azure-fdid": ""}, UNVOUCHED),
    ],
)
def test_only_the_field_of_the_service_in_front_counts(
    source: str, own_id: str | None, sent: dict[str, str], expected: str | None
) -> None:
    """Whatever the caller wrote into others; without it, a request counts with all that lack it."""
    assert client_network(FORGED | sent, source, own_id) == expected
