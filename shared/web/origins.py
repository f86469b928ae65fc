"""Web pages of other origins: the header fields that let a browser call the service, and read its answers.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from collections.abc import Collection
from typing import Final

_SENT: Final = (
    "Authorization, Content-Type, Idempotency-Key, traceparent, "
    "X-Client-Digest, X-Device-Correlation-Id, X-Session-Token"
)
_READ: Final = (
    "Date, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, x-ms-error-code, x-ms-request-id"
)
_PREFLIGHT_SECONDS: Final = 600


def of_answer(origin: str | None, allowed: Collection[str]) -> dict[str, str]:
    """The fields of an answer to a page of this origin, which may be one of the `allowed` ones."""
    # A cache must not give the answer for one origin to another.
    varying = {"Vary": "Origin"}
    if origin not in allowed:
        return varying
    return varying | {"Access-Control-Allow-Origin": str(origin), "Access-Control-Expose-Headers": _READ}


def of_preflight(methods: Collection[str]) -> dict[str, str]:
    """The further fields of the answer to a preflight of an allowed origin, at a path with these methods."""
    return {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": _SENT,
        "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
    }
