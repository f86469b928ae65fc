"""What property tests of the upstream share: content that is nearly what Face answers, and time on a busy machine."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Lets a property test take its time where a machine is shared."""

# fmt: off
_NAMES = (
    "id", "sessionId", "status", "sessionExpired", "result", "results", "response", "statusCode", "body",
    "livenessDecision", "digest", "requestId", "attempts", "attemptId", "attemptStatus", "error", "code", "message",
    "authToken", "receivedDateTime", "latencyInMilliseconds", "request", "url", "method",
)
_TEXTS = (
    "realface", "ResultAvailable", "Succeeded", "Failed", "Canceled", "Running", "SessionNotFound",
    "b12e033e-bda7-4b83-a211-e721c661f30e", "9999-12-31T23:59:59-23:00", "Try again in 999999999 days.",
)
# fmt: on
_HUGE = (10**400, -(10**400), 2**63, 1e308, float("inf"), float("nan"))


def json_objects(likely: Mapping[str, object]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of the names that Face uses, with values of any type, on top of what makes them likely to be read."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-1, 5)
        | st.just(200)
        | st.sampled_from(_HUGE)
        | st.sampled_from(_TEXTS)
        | st.text(max_size=5)
    )
    values = st.recursive(leaves, _containers, max_leaves=12)
    return st.dictionaries(st.sampled_from(_NAMES), values, max_size=6).map(
        lambda content: {**likely, **content}
    )


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6)


def bodies(likely: Mapping[str, object]) -> st.SearchStrategy[bytes]:
    """Bodies of responses: such an object or an array of it, any bytes, and JSON that is too deep or too large."""
    objects = json_objects(likely)
    extremes = (
        b"",
        b"[" * 60_000,
        b'{"id":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"id":' + b"9" * 5_000 + b"}",
        b'{"id":1e999}',
    )
    return (
        (objects | objects.map(lambda content: [content])).map(json.dumps).map(str.encode)
        | st.binary()
        | st.sampled_from(extremes)
    )
