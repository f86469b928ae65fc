"""Times and text formats: the clock, RFC 3339, HTTP dates, strict JSON, ids, the W3C trace context."""

import json
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

Clock = Callable[[], int]
"""Answers the time in milliseconds since 1970-01-01 UTC. No rule of the broker reads a clock by itself."""

Sleep = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds (`asyncio.sleep`)."""

LATEST: Final = 253_402_300_799_999
"""The end of the year 9999, after which RFC 3339 has no times; a stored time is not later."""

LONGEST_RETRY_AFTER: Final = 3_600.0
"""Seconds, an hour: a longer `Retry-After` is not believed. The collector's own pauses grow to an hour too."""

# `uuid.UUID` also takes braces, `urn:uuid:`, misplaced hyphens and full-width digits; `$` would take a newline.
_SESSION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

CLIENT_REFERENCE = re.compile("[A-Za-z0-9._:-]{1,128}")
"""The transaction that a check is for, as a caller may name it."""

# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def system_clock() -> int:
    """Answer this machine's time, in unix milliseconds."""
    return time.time_ns() // 1_000_000


def parse_json(body: bytes) -> Any:  # noqa: ANN401 - JSON can be anything; models narrow it.
    """Parse strict JSON of a bounded size; raises `ValueError` for anything else."""
    try:
        text = body.decode("utf-8")
        content = _DECODER.decode(text)
        if "\\u" in text:
            # The parser takes escaped lone surrogates; writing them again fails.
            json.dumps(content, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as problem:
        raise ValueError("half of a surrogate pair") from problem
    except RecursionError as problem:
        raise ValueError("nested too deep") from problem
    return content


def rfc3339(milliseconds: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC, to the millisecond: `2026-11-23T09:52:00.000Z`."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_session_id(text: str) -> str | None:
    """Return `text` if it is a GUID in its canonical, lower-case form, else None."""
    return text if _SESSION_ID.fullmatch(text) else None


def retry_after_seconds(
    headers: Mapping[str, str], longest: float = LONGEST_RETRY_AFTER, *, clock: Clock = system_clock
) -> float | None:
    """Read the `Retry-After` of a response, in seconds or as a date: at most `longest` seconds, None if unreadable.

    The names in `headers` are in lower case, or their case does not count. A date is compared with the response's own
    `Date`, so that the skew of this machine's clock does not matter; `clock` counts only for a response without `Date`.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), longest)
    until, now = _http_date(value), _http_date(headers.get("date", ""))
    if until is None:
        return None
    return min(max(0.0, until - (clock() / 1000 if now is None else now)), longest)


def continued(received: str | None) -> str:
    """A `traceparent` with a span of our own, in the trace that was received or in a new one.

    It is never marked as sampled: a phone must not decide how much is recorded.
    """
    found = _TRACEPARENT.fullmatch(received or "")
    fresh = secrets.token_hex(24)
    trace_id = found[1] if found else fresh[:32]
    return f"00-{trace_id}-{fresh[32:]}-00"


def _http_date(text: str) -> float | None:
    """A date such as `Mon, 23 Nov 2026 09:52:00 GMT` in unix seconds, or None for any other text."""
    # Imported late: it takes longer to load than the rest of the standard library that the start needs.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        # `-0000` means that the zone is unknown.
        return None if moment.tzinfo is None else moment.timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate names")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("NaN, or a number that is too large")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_names, parse_float=_finite, parse_constant=_finite)
