"""JSON as strictly as the contract asks."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequestBody
from shared.web.requests import parse_object

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(exclude_categories=["Cs"]))
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), scalars))
def test_plain_object_is_read_as_it_was_written(fields: dict[str, object]) -> None:
    """What is strict JSON comes through unchanged."""
    assert parse_object(json.dumps(fields).encode()) == fields


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    """No input whatever raises anything else."""
    with suppress(InvalidRequestBody):
        assert isinstance(parse_object(body), dict)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":2}}',
        b"{}x",
        b"\x00{}",
        b"{'a':1}",
    ],
)
def test_lenient_json_is_refused(body: bytes) -> None:
    """What Python's parser would let pass, or others read differently, is refused."""
    with pytest.raises(InvalidRequestBody):
        parse_object(body)


def test_refusal_does_not_hold_what_was_sent() -> None:
    """The detail goes to the log: it names the fault alone."""
    with pytest.raises(InvalidRequestBody) as refused:
        parse_object(b'{"secret":"canary"')
    assert "canary" not in refused.value.detail
