"""Reading a request whose header fields are not what they should be."""

import azure.functions as func
import pytest

from shared.errors import LengthRequired, RequestTooLarge
from shared.web.requests import json_body


def request_of(length: str | None) -> func.HttpRequest:
    headers = {"content-type": "application/json"} | ({} if length is None else {"content-length": length})
    return func.HttpRequest("POST", "http://localhost/api/sessions", headers=headers, body=b"{}")


@pytest.mark.parametrize(
    "length", [None, "", "abc", "-1", "+2", "2.0", "1e2", "2, 2", "0x2", "\u0662", "2" * 10], ids=ascii
)
def test_length_that_is_no_number_is_none(length: str | None) -> None:
    """What cannot be a length says nothing of how much was sent."""
    with pytest.raises(LengthRequired):
        json_body(request_of(length))


def test_length_counts_before_the_body_is_looked_at() -> None:
    """What is announced as too large is refused, whatever has arrived."""
    with pytest.raises(RequestTooLarge):
        json_body(request_of("4097"))


def test_length_that_fits_is_taken() -> None:
    """A number is enough."""
    assert json_body(request_of("2")) == {}
