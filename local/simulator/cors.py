"""Which web pages may call the simulator's own routes: those served from this machine."""

import re
from collections.abc import Mapping

_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost)(?::\d{1,5})?")


def is_allowed(origin: str) -> bool:
    """Tell whether a page of this origin may call."""
    return _LOOPBACK.fullmatch(origin) is not None


def headers(origin: str) -> Mapping[str, str]:
    """Answer the header fields that let a page of this origin read answers and send what the routes take."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        "Access-Control-Allow-Headers": "authorization, content-type, client-request-id",
        "Access-Control-Expose-Headers": "apim-request-id, x-ms-error-code",
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }
