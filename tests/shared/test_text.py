"""Strict JSON, times and trace contexts."""

import json
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text import continued, from_http_date, parse_json, rfc3339

texts = st.text(st.characters(exclude_categories=["Cs"]))
floats = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)


@given(json_values)
def test_strict_json_is_read_as_it_was_written(value: object) -> None:
    """Strict JSON comes through unchanged."""
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No input raises anything but `ValueError`."""
    with suppress(ValueError):
        parse_json(body)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":1e999}', b'{"a":1,"a":2}'),
        *(
            b'{"a":{"b":1,"b":2}}',
            b'{"a":"\\ud800"}',
            b'{"a":"\xff"}',
            b"\xef\xbb\xbf{}",
            "{}".encode("utf-16"),
        ),
        *(b"{}x", b"\x00{}", b"{'a':1}", b"[" * 4096),
    ],
    ids=lambda body: str(body[:20]),
)
def test_json_that_others_may_read_differently_is_refused(body: bytes) -> None:
    """Python's parser would take some of these: duplicate names, NaN, lone surrogates, deep nesting."""
    with pytest.raises(ValueError, match=r"."):
        parse_json(body)


def test_times_are_told_in_utc_to_the_millisecond() -> None:
    """RFC 3339 with three digits, also where they are zero."""
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1_800_000_000_001) == "2027-01-15T08:00:00.001Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thu, 01 Jan 1970 00:00:01 GMT", 1_000),
        ("Thu, 01 Jan 1970 00:00:01 -0000", None),
        ("soon", None),
        ("Thu, 01 Jan 99999 00:00:01 GMT", None),
        (None, None),
    ],
)
def test_date_of_a_header_is_read_or_none(text: str | None, expected: int | None) -> None:
    """A date without a known zone is no date."""
    assert from_http_date(text) == expected


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("received", "is_continued"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE}-{SPAN}-01\n", False),
        (f"01-{TRACE}-{SPAN}-01", False),
        ("", False),
        (None, False),
    ],
)
def test_trace_is_continued_or_begun(received: str | None, is_continued: bool) -> None:
    """Our span has an id of its own and is never marked as sampled; a bad header begins a new trace."""
    one, other = continued(received), continued(received)

    for traceparent in (one, other):
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", traceparent)
    assert one[36:] != other[36:]
    assert SPAN not in one
    assert (one[3:35] == TRACE, one[3:35] == other[3:35]) == (is_continued, is_continued)
