"""Whose address a request comes from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings import AddressSource
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


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_none(text: str) -> None:
    """No header field whatever makes the reading fail."""
    assert network(text) is None or network(text)


def test_nobody_vouches_no_address_is_believed() -> None:
    """With `none` every header field could be the caller's own."""
    headers = FORGED | {"client-ip": "203.0.113.7:1", "x-azure-socketip": "203.0.113.7"}

    assert client_network(headers, AddressSource.NONE) is None


def test_app_service_forged_fields_do_not_count() -> None:
    """The platform's own field counts, whatever the caller wrote into others."""
    headers = FORGED | {"client-ip": "203.0.113.7:49828"}

    assert client_network(headers, AddressSource.APP_SERVICE) == "203.0.113.7"


@pytest.mark.parametrize(
    "sent", [{}, {"client-ip": ""}, {"client-ip": "1.2.3.4, 9.9.9.9"}, {"client-ip": "x"}]
)
def test_app_service_field_missing_nothing_else_is_believed(sent: dict[str, str]) -> None:
    """Without a readable field of the platform's own, a request counts with all that lack it, never by a forged one."""
    assert client_network(FORGED | sent, AddressSource.APP_SERVICE) == UNVOUCHED


def test_front_door_with_its_id_peer_counts() -> None:
    """Behind the operator's Front Door the TCP peer that it saw counts, not what the caller claims to be."""
    headers = FORGED | {
        "x-azure-fdid": DOOR.upper(),
        "x-azure-socketip": "203.0.113.7",
        "client-ip": "10.0.0.1:1",
    }

    assert client_network(headers, AddressSource.FRONT_DOOR, DOOR) == "203.0.113.7"


@pytest.mark.parametrize("door", [None, "", "0f8fad5b-d9cb-469f-a165-70867728950f", "é"])
def test_front_door_of_somebody_else_is_not_believed(door: str | None) -> None:
    """Anybody can have a Front Door: without the operator's own id its fields are the caller's."""
    headers = {"x-azure-socketip": "203.0.113.7"} | ({} if door is None else {"x-azure-fdid": door})

    assert client_network(headers, AddressSource.FRONT_DOOR, DOOR) == UNVOUCHED


@pytest.mark.parametrize("own", [None, ""])
@pytest.mark.parametrize("sent", [{}, {"x-azure-fdid": ""}])
def test_front_door_without_an_id_of_its_own_believes_nobody(own: str | None, sent: dict[str, str]) -> None:
    """An empty id in the header is not the operator's."""
    headers = {"x-azure-socketip": "203.0.113.7"} | sent

    assert client_network(headers, AddressSource.FRONT_DOOR, own) == UNVOUCHED


@given(st.text(max_size=60))
def test_nobody_can_write_the_address_of_the_unvouched(text: str) -> None:
    """It is no address that a field could hold."""
    assert network(text) != UNVOUCHED
