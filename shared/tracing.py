"""The W3C trace context that ties a request to the event that comes of it: https://www.w3.org/TR/trace-context/."""

import re
import secrets

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def continued(received: str | None) -> str:
    """A span of ours in the trace that was received, or in a new one.

    Never marked as sampled: a phone must not decide how much is recorded.
    """
    found = _TRACEPARENT.fullmatch(received or "")
    trace_id = found[1] if found else secrets.token_hex(16)
    return f"00-{trace_id}-{secrets.token_hex(8)}-00"
