"""Text formats: strict JSON, times of the contract, the W3C trace context."""

import json
import re
import secrets
from datetime import UTC, datetime
from typing import Any

# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def parse_json(body: bytes) -> Any:  # noqa: ANN401 - JSON can be anything; models narrow it.
    """Parse strict JSON of a bounded size; raises `ValueError` for anything else."""
    try:
        content = _DECODER.decode(body.decode("utf-8"))
        # The parser takes escaped lone surrogates, NaN and infinite numbers; writing them again fails.
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except RecursionError as problem:
        raise ValueError("nested too deep") from problem
    return content


def rfc3339(milliseconds: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC, to the millisecond: `2026-11-23T09:52:00.000Z`."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_http_date(text: str | None) -> int | None:
    """A date such as `Mon, 23 Nov 2026 09:52:00 GMT` as unix milliseconds, or None for any other text."""
    # Imported late: it takes longer to load than the rest of the standard library that the start needs.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text or "")
        # `-0000` means that the zone is unknown.
        return None if moment.tzinfo is None else int(moment.timestamp()) * 1000
    except (TypeError, ValueError, OverflowError):
        return None


def continued(received: str | None) -> str:
    """A `traceparent` with a span of our own, in the trace that was received or in a new one.

    It is never marked as sampled: a phone must not decide how much is recorded.
    """
    found = _TRACEPARENT.fullmatch(received or "")
    trace_id = found[1] if found else secrets.token_hex(16)
    return f"00-{trace_id}-{secrets.token_hex(8)}-00"


def _unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate names")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_names)
