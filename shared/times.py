"""Times as the contract writes them."""

from datetime import UTC, datetime


def rfc3339(milliseconds: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC, to the millisecond: `2026-11-23T09:52:00.000Z`."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_http_date(text: str | None) -> int | None:
    """The date of a header field (`Mon, 23 Nov 2026 09:52:00 GMT`) as unix milliseconds, or None where it is none."""
    # Here, because it takes longer to load than all else that the app's start needs of the standard library.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text or "")
        # `-0000` says that nobody knows the zone.
        return None if moment.tzinfo is None else int(moment.timestamp()) * 1000
    except (TypeError, ValueError, OverflowError):
        return None
