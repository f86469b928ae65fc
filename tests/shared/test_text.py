"""Strict JSON, session ids, times and trace contexts."""

import re

import pytest

from shared.text import (
    LONGEST_RETRY_AFTER,
    continued,
    parse_json,
    parse_session_id,
    retry_after_seconds,
    rfc3339,
)


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
        *(b"{}x", b"\x00{}", b"{'a':1}", b"[" * 50_000),
    ],
    ids=lambda body: str(body[:20]),
)
def test_json_that_others_may_read_differently_is_refused(body: bytes) -> None:
    """Python's parser would take some of these: duplicate names, NaN, lone surrogates, deep nesting."""
    with pytest.raises(ValueError, match=r"."):
        parse_json(body)


SESSION = "b12e033e-bda7-4b83-a211-e721c661f30e"
NOT_IDS = [
    "",
    "..",
    "../../../face/v1.0/largepersongroups",
    "%2e%2e%2f",
    SESSION.upper(),
    SESSION.replace("-", ""),
    f"{{{SESSION}}}",
    f"urn:uuid:{SESSION}",
    f"{SESSION}\n",
    f"{SESSION}/audit",
    f"{SESSION}?top=1",
    f"{SESSION}\0",
    SESSION.replace("1", "\N{FULLWIDTH DIGIT ONE}"),
    SESSION.replace("1", "\N{ARABIC-INDIC DIGIT ONE}"),
    SESSION.replace("-", "\N{HYPHEN}"),
    f"b12e033ebda7-4b83-a211-e721c661f30e{'-'}",
    SESSION[:-1],
    SESSION + "0",
]
"""Texts that a lenient parser might accept as a session id, and texts that would change the URL."""


@pytest.mark.parametrize("text", NOT_IDS, ids=ascii)
def test_a_guid_in_lower_case_with_its_hyphens_is_an_id_and_nothing_else(text: str) -> None:
    assert (parse_session_id(SESSION), parse_session_id(text)) == (SESSION, None)


def test_times_are_told_in_utc_to_the_millisecond() -> None:
    """RFC 3339 with three digits, also where they are zero."""
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1_800_000_000_001) == "2027-01-15T08:00:00.001Z"


SUNDAY = "Sun, 22 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("3601", LONGEST_RETRY_AFTER),
        ("9" * 5_000, LONGEST_RETRY_AFTER),
        ("Sun, 22 Nov 2026 10:00:30 GMT", 30.0),
        ("Sunday, 22-Nov-26 10:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 09:59:30 GMT", 0.0),
        ("Wed, 22 Nov 2028 10:00:00 GMT", LONGEST_RETRY_AFTER),
        ("Sun, 22 Nov 2026 10:00:30 -0000", None),
        ("Sun, 22 Nov 99999 10:00:30 GMT", None),
        *(
            (text, None)
            for text in ("", "soon", "-1", "+1", "1e3", "1.5", "inf", "\N{FULLWIDTH DIGIT ONE}", "\u00b2")
        ),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_retry_after_is_read_in_both_its_forms(value: str, seconds: float | None) -> None:
    """Seconds, or a date beside the date of the response itself; an hour is the most that is believed."""
    assert retry_after_seconds({"retry-after": value, "date": SUNDAY}) == seconds


def test_retry_after_has_the_ceiling_of_its_reader() -> None:
    """And no header is no wait."""
    assert retry_after_seconds({"retry-after": "100"}, longest=60.0) == 60.0
    assert retry_after_seconds({}) is None


@pytest.mark.parametrize(("date", "seconds"), [(None, 30.0), ("soon", 30.0), (SUNDAY, 40.0)])
def test_date_of_a_retry_is_compared_with_our_clock_only_where_the_response_has_none(
    date: str | None, seconds: float
) -> None:
    """Our clock may be wrong, but some wait is better than none."""
    ten_past = 1_795_341_610_000
    headers = {"retry-after": "Sun, 22 Nov 2026 10:00:40 GMT"} | ({"date": date} if date else {})
    assert retry_after_seconds(headers, clock=lambda: ten_past) == seconds


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
